"""Unrolled locally low-rank reconstruction of series, corrected by convolutions."""

from typing import ClassVar, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.convolutions import ComplexConvolutions
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.prox import LowRankProx, Matricization, Patches, ShrinkageGradient
from lowrank_unroll.sample import SERIES_AXES

# Chosen on series to train on, see docs/low_rank.md.
THRESHOLD_LOGIT = -6.7


class LocallyLowRankState(NamedTuple):
    """The series x and its extrapolation z, both (batch, time, height, width), complex; the matches of its pixels."""

    image: Tensor
    extrapolated: Tensor
    matches: Tensor | None


class LocallyLowRankIteration(nn.Module):
    """One iteration of FISTA, whose proximal map is a low-rank step with a learned correction.

        L = SVT of the matrices of z;    x' = gradient step from L + CNN(L, z);    z' = x' + momentum (x' - x)

    The correction starts at zero and the momentum at that of FISTA, so that the untrained iteration is one of FISTA.

    Args:
        prox: the low-rank step.
        features: channels inside the convolutional stack.
        momentum: initial value.
    """

    def __init__(self, prox: LowRankProx, features: int, momentum: float) -> None:
        super().__init__()
        self.prox = prox
        self.correction = ComplexConvolutions(features, series=2).begin_at_zero()
        self.step_size = nn.Parameter(torch.tensor(1.0))
        self.momentum = nn.Parameter(torch.tensor(momentum))

    def forward(self, state: LocallyLowRankState, measurement: Tensor, operator: LinearOperator) -> LocallyLowRankState:
        """Advance the state by one iteration."""
        low_rank = self.prox(state.extrapolated, state.matches)
        corrected = low_rank + self.correction(low_rank, state.extrapolated)
        image = gradient_step(corrected, measurement, operator, self.step_size.relu())
        return LocallyLowRankState(image, image + self.momentum * (image - state.image), state.matches)


class LocallyLowRankNet(UnrolledNetwork[LocallyLowRankState]):
    """Unrolled FISTA for locally low-rank series, with convolutions.

    By default a patch of 2 x 2 pixels and the 15 most similar ones around it form a matrix: pixels that move alike have
    few time curves between them, and unlike blocks (Trzasko & Manduca, ISMRM 2011) their group follows the edges of an
    organ. A good start is ``start: LocallyLowRankRecon``, which shrinks blocks.

    Args:
        features: channels inside the convolutional stacks.
        iterations: number of unrolled iterations.
        matricization: the low-rank matrices: ``Patches()``, ``Blocks()``, or "casorati" for the whole series.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is too small, or ``matricization`` or ``gradient`` is unknown.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 32,
        iterations: int = 6,
        matricization: Literal["casorati"] | Matricization = Patches(radius=5),  # noqa: B008  immutable
        gradient: ShrinkageGradient = "exact",
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations)
        steps = (
            LowRankProx(matricization=matricization, gradient=gradient, threshold_logit=THRESHOLD_LOGIT)
            for _ in range(iterations)
        )
        super().__init__(
            (LocallyLowRankIteration(prox, features, number / (number + 3)) for number, prox in enumerate(steps)),
            checkpoint_iterations,
            start,
        )
        # The last extrapolation is never used, and a parameter without gradient would stall multi-device training.
        self.iterations[-1].momentum.requires_grad_(False)

    def initial_state(self, image: Tensor) -> LocallyLowRankState:
        """Start from the first image, and match similar pixels once, since that takes half as long as a shrinkage."""
        first = cast("LocallyLowRankIteration", self.iterations[0])
        return LocallyLowRankState(image, image, first.prox.locate(image))
