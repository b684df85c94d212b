"""Reconstruction of images whose similar patches are of low rank: iterative, and unrolled with convolutions."""

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
    """Shrink what similar patches do not have in common, and keep what is measured.

        L = SVT of the groups of similar patches of x;    x = L - A^H (A L - y)

    Args:
        prox: the low-rank step.
    """

    def __init__(self, prox: LowRankProx) -> None:
        super().__init__()
        self.prox = prox

    def forward(self, state: NonLocalState, measurement: Tensor, operator: LinearOperator) -> NonLocalState:
        """Advance the state by one iteration."""
        image = self.mended(self.prox(state.image), state.image)
        return NonLocalState(gradient_step(image, measurement, operator))

    def mended(self, low_rank: Tensor, image: Tensor) -> Tensor:
        """What to make of an image and its low-rank version before the measurement is kept: here, the latter."""
        return low_rank


class MendedNonLocalIteration(NonLocalIteration):
    """The same with convolutions between: x = L + CNN(x, L) - A^H (A (...) - y).

    They begin at zero, so that training begins with the iteration as it is.

    Args:
        prox: the low-rank step.
        channels: channels of the image.
        features: channels inside the convolutional stack.
        depth: how many convolutions.
    """

    def __init__(self, prox: LowRankProx, channels: int, features: int, depth: int) -> None:
        super().__init__(prox)
        self.correction = ImageConvolutions((2 * channels, *[features] * (depth - 1), channels)).begin_at_zero()

    def mended(self, low_rank: Tensor, image: Tensor) -> Tensor:
        """Add what the convolutions make of both."""
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
    """Shrink the singular values of every group of similar patches, again and again, by less and less.

    Similar patches are the rows of a matrix of low rank (Dong, Shi & Li, "Nonlocal image restoration with bilateral
    variance estimation", IEEE TIP 2013; for compressed sensing Dong et al., IEEE TIP 2014). It has nothing to train:
    run ``test`` or ``predict``, or let a network start from it.

    Args:
        iterations: number of iterations.
        first_threshold: of the first iteration, relative to what a group would have of the norm of all, were they
            alike; between 0 and 1.
        last_threshold: of the last one; those between fall geometrically.
        patches: how patches are grouped.
        start: a network to start from; None for a normalised convolution.

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
    """The iterations of :class:`NonLocalLowRankRecon`, unrolled, with convolutions that mend what low rank leaves.

    Before training it is that method with as many iterations; thresholds and convolutions are learned.

    Args:
        channels: channels of the image.
        features: channels inside the convolutional stacks.
        iterations: number of unrolled iterations.
        depth: convolutions of a stack, at least 2.
        patches: how patches are grouped.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from; None for a normalised convolution.

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
            (MendedNonLocalIteration(prox, channels, features, depth) for prox in steps),
            checkpoint_iterations,
            start or NormalizedConvolution(),
        )
        self.image_channels = channels


def _low_rank_steps(
    patches: Patches, iterations: int, first: float, last: float, gradient: ShrinkageGradient = "exact"
) -> Iterable[LowRankProx]:
    """A low-rank step for each iteration, with thresholds that fall geometrically."""
    ends = math.log10(first), math.log10(last)
    for threshold in torch.logspace(*ends, iterations, dtype=torch.float64, device="cpu").tolist():
        logit = math.log(threshold / (1 - threshold))
        yield LowRankProx(matricization=patches, gradient=gradient, threshold_logit=logit)
