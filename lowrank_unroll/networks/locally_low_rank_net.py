"""Locally low rank, unrolled: blocks of a series are shrunk to low rank, and convolutions mend what that leaves."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.convolutions import ComplexConvolutions
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.prox import Blocks, LowRankProx, ShrinkageGradient
from lowrank_unroll.sample import SERIES_AXES

# Where the threshold of LocallyLowRankRecon would be, about 0.002 of what a block has of the whole.
THRESHOLD_LOGIT = -6.2


class LocallyLowRankState(NamedTuple):
    """The series x and its extrapolation z, both (batch, time, height, width), complex."""

    image: Tensor
    extrapolated: Tensor


class LocallyLowRankIteration(nn.Module):
    """One iteration of FISTA, whose proximal map is that of blocks of low rank and a learned correction.

        L = SVT of the blocks of z;    x' = gradient step from L + CNN(L, z);    z' = x' + momentum (x' - x)

    The correction begins at zero and the momentum where FISTA has it, so that training begins with the iterations of
    :class:`LocallyLowRankRecon`.

    Args:
        features: channels inside the convolutional stack.
        blocks: the blocks.
        momentum: initial value.
        gradient: gradient of the shrinkage.
    """

    def __init__(self, features: int, blocks: Blocks, momentum: float, gradient: ShrinkageGradient) -> None:
        super().__init__()
        self.prox = LowRankProx(matricization=blocks, gradient=gradient, threshold_logit=THRESHOLD_LOGIT)
        self.correction = ComplexConvolutions(features, series=2).begin_at_zero()
        self.step_size = nn.Parameter(torch.tensor(1.0))
        self.momentum = nn.Parameter(torch.tensor(momentum))

    def forward(self, state: LocallyLowRankState, measurement: Tensor, operator: LinearOperator) -> LocallyLowRankState:
        """Advance the state by one iteration."""
        low_rank = self.prox(state.extrapolated)
        corrected = low_rank + self.correction(low_rank, state.extrapolated)
        image = gradient_step(corrected, measurement, operator, self.step_size.relu())
        return LocallyLowRankState(image, image + self.momentum * (image - state.image))


class LocallyLowRankNet(UnrolledNetwork[LocallyLowRankState]):
    """Unrolled FISTA for series whose blocks are of low rank (Trzasko & Manduca, ISMRM 2011), with convolutions.

    The grid of blocks moves by half a block from one iteration to the next, so that no seams stay. It goes well with
    ``start: LocallyLowRankRecon``, whose iterations it then continues.

    Args:
        features: channels inside the convolutional stacks.
        iterations: number of unrolled iterations.
        block: pixels a side of a block, at least 2.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is too small, or ``gradient`` is unknown.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 32,
        iterations: int = 6,
        block: int = 8,
        gradient: ShrinkageGradient = "exact",
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations)
        check_at_least(2, block=block)
        half = block // 2
        grids = ((0, 0), (half, half), (0, half), (half, 0))
        super().__init__(
            (
                LocallyLowRankIteration(
                    features, Blocks(block, (grids[number % len(grids)],)), number / (number + 3), gradient
                )
                for number in range(iterations)
            ),
            checkpoint_iterations,
            start,
        )
        # The last extrapolation is never used: without a gradient its momentum would stall multi-device training.
        self.iterations[-1].momentum.requires_grad_(False)

    def initial_state(self, image: Tensor) -> LocallyLowRankState:
        """Start from the first image."""
        return LocallyLowRankState(image, image)
