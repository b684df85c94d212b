"""Non-local low-rank reconstruction of images: iterative, and unrolled with convolutions."""

import math
from collections.abc import Iterable
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least, check_fraction
from lowrank_unroll.networks.layers.convolutions import ImageConvolutions
from lowrank_unroll.networks.normalized_convolution import NormalizedConvolution
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.prox import LowRankProx, Patches, ShrinkageGradient
from lowrank_unroll.sample import COLOUR_AXES

# Chosen on photographs to train on, see docs/low_rank.md.
FIRST_THRESHOLD = 0.04
LAST_THRESHOLD = 0.01


class NonLocalState(NamedTuple):
    """The image x, (batch, channel, height, width)."""

    image: Tensor


class NonLocalIteration(nn.Module):
    """Shrink the groups of similar patches to low rank, and restore the measured values.

        L = SVT of the groups of similar patches of x;    x = L - A^H (A L - y)

    Args:
        prox: the low-rank step.
    """

    def __init__(self, prox: LowRankProx) -> None:
        super().__init__()
        self.prox = prox

    def forward(self, state: NonLocalState, measurement: Tensor, operator: LinearOperator) -> NonLocalState:
        """Advance the state by one iteration."""
        image = self.corrected(self.prox(state.image), state.image)
        return NonLocalState(gradient_step(image, measurement, operator))

    def corrected(self, low_rank: Tensor, image: Tensor) -> Tensor:
        """Return the image before data consistency: the low-rank version of ``image``, without a correction."""
        return low_rank


class CorrectedNonLocalIteration(NonLocalIteration):
    """The same with a correction: x = L + CNN(L, x), followed by data consistency.

    The correction starts at zero, so that the untrained iteration is that without it.

    Args:
        prox: the low-rank step.
        channels: channels of the image.
        features: channels inside the convolutional stack.
        depth: number of convolutions.
    """

    def __init__(self, prox: LowRankProx, channels: int, features: int, depth: int) -> None:
        super().__init__(prox)
        self.correction = ImageConvolutions((2 * channels, *[features] * (depth - 1), channels)).begin_at_zero()

    def corrected(self, low_rank: Tensor, image: Tensor) -> Tensor:
        """Return the low-rank image, corrected by convolutions of both."""
        correction: Tensor = self.correction(torch.cat([low_rank, image], dim=1))
        return low_rank + correction


class _NonLocalNetwork(UnrolledNetwork[NonLocalState]):
    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    image_is_complex: ClassVar[bool | None] = False
    works_in_parts: ClassVar[bool] = True

    def initial_state(self, image: Tensor) -> NonLocalState:
        """Start from the first image."""
        return NonLocalState(image)


class NonLocalLowRankRecon(_NonLocalNetwork):
    """Shrink the singular values of the groups of similar patches iteratively, with falling thresholds.

    Similar patches are the rows of a matrix of low rank (Dong, Shi & Li, "Nonlocal image restoration with bilateral
    variance estimation", IEEE TIP 2013; for compressed sensing Dong et al., IEEE TIP 2014). It has nothing to train:
    run ``test`` or ``predict``, or let a network start from it.

    Args:
        iterations: number of iterations.
        first_threshold: of the first iteration, a fraction of the RMS Frobenius norm of the sample's groups, between 0
            and 1.
        last_threshold: of the last one; those between fall geometrically.
        patches: the groups of patches.
        start: a network to start from; None for a normalized convolution.

    Raises:
        ValueError: if a number is out of its range.
    """

    def __init__(
        self,
        iterations: int = 8,
        first_threshold: float = FIRST_THRESHOLD,
        last_threshold: float = LAST_THRESHOLD,
        patches: Patches = Patches(),  # noqa: B008  immutable
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, iterations=iterations)
        check_fraction(first_threshold=first_threshold, last_threshold=last_threshold)
        super().__init__(
            map(NonLocalIteration, _low_rank_steps(patches, iterations, first_threshold, last_threshold)),
            start=start or NormalizedConvolution(),
        )
        self.requires_grad_(False)


class NonLocalLowRankNet(_NonLocalNetwork):
    """The iterations of :class:`NonLocalLowRankRecon`, unrolled, and corrected by convolutions.

    Thresholds and convolutions are learned. Before training it is that method with as many iterations.

    Args:
        channels: channels of the image.
        features: channels inside the convolutional stacks.
        iterations: number of unrolled iterations.
        depth: convolutions of a stack, at least 2.
        patches: the groups of patches.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from; None for a normalized convolution.

    Raises:
        ValueError: if a number is too small, or ``gradient`` is unknown.
    """

    def __init__(
        self,
        channels: int = 3,
        features: int = 24,
        iterations: int = 6,
        depth: int = 5,
        patches: Patches = Patches(),  # noqa: B008  immutable
        gradient: ShrinkageGradient = "exact",
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, channels=channels, features=features, iterations=iterations)
        check_at_least(2, depth=depth)
        steps = _low_rank_steps(patches, iterations, FIRST_THRESHOLD, LAST_THRESHOLD, gradient)
        super().__init__(
            (CorrectedNonLocalIteration(prox, channels, features, depth) for prox in steps),
            checkpoint_iterations,
            start or NormalizedConvolution(),
        )
        self.image_channels = channels


def _low_rank_steps(
    patches: Patches, iterations: int, first: float, last: float, gradient: ShrinkageGradient = "exact"
) -> Iterable[LowRankProx]:
    """Yield a low-rank step for each iteration, with thresholds that fall geometrically."""
    ends = math.log10(first), math.log10(last)
    for threshold in torch.logspace(*ends, iterations, dtype=torch.float64, device="cpu").tolist():
        logit = math.log(threshold / (1 - threshold))
        yield LowRankProx(matricization=patches, gradient=gradient, threshold_logit=logit)
