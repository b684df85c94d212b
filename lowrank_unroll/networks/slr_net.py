"""SLR-Net: sparsity plus low rank (Ke et al., Learned Low-rank Priors in Dynamic MR Imaging, IEEE TMI 2021)."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.convolutions import SeriesConvolutions, from_channels, to_channels
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.prox import LowRankProx, ShrinkageGradient, soft_threshold
from lowrank_unroll.sample import SERIES_AXES

SYMMETRY_WEIGHT = 0.01


class SLRState(NamedTuple):
    """The series x, its low-rank copy t and multiplier b, all (batch, time, height, width), complex.

    The symmetry residual D(E(r)) - r of the transform E and its inverse D is real, (batch, 2, time, height, width), and
    zero unless training.
    """

    image: Tensor
    low_rank: Tensor
    multiplier: Tensor
    symmetry_residual: Tensor


class SLRIteration(nn.Module):
    """One iteration: gradient step, sparsity in a learned transform, low-rank step, multiplier step.

    r = x - relu(l1) A^H (A x - y) + relu(l2) (x + b - t);    x = r + D(soft(E(r), theta))
    t = SVT of the Casorati matrix of x;    b = b + relu(eta) (x - t)
    """

    def __init__(self, features: int, gradient: ShrinkageGradient) -> None:
        super().__init__()
        self.encoder = SeriesConvolutions((2, features, features, features))
        self.decoder = SeriesConvolutions((features, features, features, 2))
        self.prox = LowRankProx(matricization="casorati", gradient=gradient)
        self.step_size = nn.Parameter(torch.tensor(0.1))
        self.coupling_step = nn.Parameter(torch.tensor(0.1))
        self.soft_threshold = nn.Parameter(torch.tensor(0.01))
        self.multiplier_step = nn.Parameter(torch.tensor(0.1))

    def forward(self, state: SLRState, measurement: Tensor, operator: LinearOperator) -> SLRState:
        """Advance the state by one iteration."""
        coupling = state.image + state.multiplier - state.low_rank
        descended = gradient_step(state.image, measurement, operator, self.step_size.relu())
        descended = descended + self.coupling_step.relu() * coupling
        channels = to_channels(descended)
        features = self.encoder(channels)
        image = descended + from_channels(self.decoder(soft_threshold(features, self.soft_threshold.relu())))
        low_rank, multiplier = self.low_rank_step(image, state)
        # Only the training loss needs it, and it takes a third of the convolutions.
        residual = self.decoder(features) - channels if self.training else torch.zeros_like(channels)
        return SLRState(image, low_rank, multiplier, residual)

    def low_rank_step(self, image: Tensor, state: SLRState) -> tuple[Tensor, Tensor]:
        """Return the low-rank copy t and multiplier b of a new image."""
        low_rank = self.prox(image)
        return low_rank, state.multiplier + self.multiplier_step.relu() * (image - low_rank)


class LastSLRIteration(SLRIteration):
    """The last iteration, without the low-rank step, which nothing follows; its published weights are kept, frozen."""

    def __init__(self, features: int, gradient: ShrinkageGradient) -> None:
        super().__init__(features, gradient)
        # Parameters without gradient would stall multi-device training.
        self.multiplier_step.requires_grad_(False)
        self.prox.requires_grad_(False)

    def low_rank_step(self, image: Tensor, state: SLRState) -> tuple[Tensor, Tensor]:
        """Return those of the previous state."""
        return state.low_rank, state.multiplier


class SLRNet(UnrolledNetwork[SLRState]):
    """Unrolled reconstruction of series that are sparse in a learned transform, and of low rank.

    The soft threshold is absolute, as published, so that this network is not positively homogeneous.

    Args:
        features: channels of the learned transform.
        iterations: number of unrolled iterations.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.
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
        kinds = [SLRIteration] * (iterations - 1) + [LastSLRIteration]
        super().__init__((kind(features, gradient) for kind in kinds), checkpoint_iterations, start)

    def initial_state(self, image: Tensor) -> SLRState:
        """Start from the first image, and zeros for the rest."""
        zeros = torch.zeros_like(image)
        return SLRState(image, zeros, zeros, to_channels(zeros))

    def penalty(self, state: SLRState) -> Tensor:
        """Return 0.01 times the mean squared symmetry residual, which is zero if the decoder inverts the encoder."""
        return SYMMETRY_WEIGHT * state.symmetry_residual.square().mean()
