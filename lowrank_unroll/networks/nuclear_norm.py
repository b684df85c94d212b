"""Iterative reconstruction by nuclear norm minimisation, a baseline without training."""

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least, check_not_negative
from lowrank_unroll.linalg import casorati, singular_value_threshold
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.sample import SERIES_AXES


class NuclearNormState(NamedTuple):
    """The series x, its extrapolation z, both (batch, time, height, width); the threshold (batch,); the momentum."""

    image: Tensor
    extrapolated: Tensor
    threshold: Tensor
    momentum: float


class NuclearNormIteration(nn.Module):
    """One iteration of FISTA (Beck & Teboulle, SIAM J. Imaging Sci. 2009) with step size 1.

    x' = SVT(z - A^H (A z - y));    t' = (1 + sqrt(1 + 4 t^2)) / 2;    z' = x' + (t - 1) / t' (x' - x)
    """

    def forward(self, state: NuclearNormState, measurement: Tensor, operator: LinearOperator) -> NuclearNormState:
        """Advance the state by one iteration."""
        descended = gradient_step(state.extrapolated, measurement, operator)
        image = singular_value_threshold(casorati(descended), state.threshold).reshape(descended.shape)
        momentum = (1 + math.sqrt(1 + 4 * state.momentum**2)) / 2
        extrapolated = image + (state.momentum - 1) / momentum * (image - state.image)
        return NuclearNormState(image, extrapolated, state.threshold, momentum)


class NuclearNormRecon(UnrolledNetwork[NuclearNormState]):
    """Minimise 1/2 ||A x - y||^2 + threshold ||Casorati matrix of x||_* by FISTA, for ||A|| <= 1.

    It has nothing to train: run ``test`` or ``predict``.

    Args:
        threshold: relative to the largest singular value of the Casorati matrix of the zero-filled series.
        iterations: number of iterations.

    Raises:
        ValueError: if the threshold is negative or not finite, or there is no iteration.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(self, threshold: float = 0.003, iterations: int = 50) -> None:
        check_not_negative(threshold=threshold)
        check_at_least(1, iterations=iterations)
        super().__init__([NuclearNormIteration()] * iterations)
        self.threshold = threshold

    def initial_state(self, image: Tensor) -> NuclearNormState:
        """Start from the adjoint reconstruction."""
        return NuclearNormState(image, image, self.threshold * largest_singular_value(image), 1.0)


def largest_singular_value(series: Tensor) -> Tensor:
    """The largest singular value of the Casorati matrix of each series, (batch,)."""
    norms: Tensor = torch.linalg.matrix_norm(casorati(series), 2)
    return norms
