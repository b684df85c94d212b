"""Accelerated proximal gradient descent, the algorithm of the iterative baselines."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.operators import LinearOperator, gradient_step


class FISTAState(NamedTuple):
    """The image x and its extrapolation z, of the same shape; the thresholds; the momentum."""

    image: Tensor
    extrapolated: Tensor
    threshold: Tensor
    momentum: float


class FISTAIteration(nn.Module):
    """One iteration of FISTA (Beck & Teboulle, SIAM J. Imaging Sci. 2009) with step size 1.

    x' = shrink(z - A^H (A z - y));    t' = (1 + sqrt(1 + 4 t^2)) / 2;    z' = x' + (t - 1) / t' (x' - x)

    Args:
        shrink: a proximal map, of an image and its thresholds.
    """

    def __init__(self, shrink: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.shrink = shrink

    def forward(self, state: FISTAState, measurement: Tensor, operator: LinearOperator) -> FISTAState:
        """Advance the state by one iteration."""
        image = self.shrink(gradient_step(state.extrapolated, measurement, operator), state.threshold)
        extrapolated, momentum = extrapolate(image, state.image, state.momentum)
        return FISTAState(image, extrapolated, state.threshold, momentum)


def extrapolate(image: Tensor, previous: Tensor, momentum: float) -> tuple[Tensor, float]:
    """Return the extrapolation z' and momentum t' of an image x', the previous image x, and t."""
    after = (1 + math.sqrt(1 + 4 * momentum**2)) / 2
    return torch.add(image, image - previous, alpha=(momentum - 1) / after), after
