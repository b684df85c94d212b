"""TLR-Net: transformed low rank by ADMM, arXiv 2411.14141."""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.convolutions import ComplexConvolutions, ImageConvolutions
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, project_onto_measurement, proximal_step
from lowrank_unroll.prox import LowRankProx, ShrinkageGradient
from lowrank_unroll.sample import COLOUR_AXES, SERIES_AXES


class TLRState(NamedTuple):
    """Image x and scaled Lagrange multiplier l, of the same shape."""

    image: Tensor
    multiplier: Tensor


class TLRIteration(nn.Module):
    """One ADMM iteration: low-rank step, data consistency, multiplier step.

        v = x + l;    z = v + prox(v);    x = projection of z - l onto A x = y;    l = l + relu(eta) (x - z)

    Args:
        prox: the low-rank step.
    """

    def __init__(self, prox: LowRankProx) -> None:
        super().__init__()
        self.prox = prox
        self.multiplier_step = nn.Parameter(torch.tensor(1.0))

    def forward(self, state: TLRState, measurement: Tensor, operator: LinearOperator) -> TLRState:
        """Advance the state by one iteration."""
        shifted = state.image + state.multiplier
        low_rank = shifted + self.prox(shifted)
        image = self.data_consistency(low_rank - state.multiplier, measurement, operator)
        multiplier = state.multiplier + self.multiplier_step.relu() * (image - low_rank)
        return TLRState(image, multiplier)

    def data_consistency(self, image: Tensor, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Project an image onto those that explain the measurement exactly."""
        return project_onto_measurement(image, measurement, operator)


class DynamicTLRIteration(TLRIteration):
    """The same for noisy measurements: x is the proximal map of the data term, with a learned weight.

    The proximal map has a closed form for a single coil; for several it takes conjugate gradients.
    """

    def __init__(self, prox: LowRankProx) -> None:
        super().__init__(prox)
        self.log_weight = nn.Parameter(torch.tensor(0.1).log())

    def data_consistency(self, image: Tensor, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Return argmin_x 1/2 ||A x - y||^2 + weight/2 ||x - v||^2 for an image v."""
        return proximal_step(image, measurement, operator, self.log_weight.exp())


class _UnrolledADMM(UnrolledNetwork[TLRState]):
    def __init__(
        self, iterations: Iterable[TLRIteration], checkpoint_iterations: bool, start: nn.Module | None
    ) -> None:
        super().__init__(iterations, checkpoint_iterations, start)
        # The last multiplier is never used, and a parameter without gradient would stall multi-device training.
        self.iterations[-1].multiplier_step.requires_grad_(False)

    def initial_state(self, image: Tensor) -> TLRState:
        """Start from the first image and a zero multiplier."""
        return TLRState(image, torch.zeros_like(image))


class TLRNet(_UnrolledADMM):
    """Unrolled ADMM with a learned transform whose channel images are shrunk to low rank, arXiv 2411.14141.

    Args:
        channels: channels of the image.
        features: channels inside the encoder and decoder.
        iterations: number of unrolled iterations.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is below 1, or ``gradient`` is unknown.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    image_is_complex: ClassVar[bool | None] = False

    def __init__(
        self,
        channels: int = 3,
        features: int = 16,
        iterations: int = 10,
        gradient: ShrinkageGradient = "exact",
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, channels=channels, features=features, iterations=iterations)
        widths = (channels, features, features, channels)
        super().__init__(
            (
                TLRIteration(LowRankProx(ImageConvolutions(widths), ImageConvolutions(widths), gradient=gradient))
                for _ in range(iterations)
            ),
            checkpoint_iterations,
            start,
        )
        self.image_channels = channels


class DynamicTLRNet(_UnrolledADMM):
    """TLR-Net for complex series (batch, time, height, width), whose frames are shrunk to low rank, arXiv 2411.14141.

    Args:
        features: channels inside the encoder and decoder.
        iterations: number of unrolled iterations.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is below 1, or ``gradient`` is unknown.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 16,
        iterations: int = 10,
        gradient: ShrinkageGradient = "exact",
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations)
        super().__init__(
            (
                DynamicTLRIteration(
                    LowRankProx(ComplexConvolutions(features), ComplexConvolutions(features), gradient=gradient)
                )
                for _ in range(iterations)
            ),
            checkpoint_iterations,
            start,
        )
