"""The forward model of a series, on a Cartesian grid or along a trajectory, and its parts."""

from typing import NamedTuple

from torch import Tensor

from lowrank_unroll.operators.coils import CoilSensitivity, SingleCoil, coil_operator
from lowrank_unroll.operators.diagonal import Diagonal
from lowrank_unroll.operators.fourier import Fourier, SampledFourier
from lowrank_unroll.operators.linear_operator import Composition, LinearOperator
from lowrank_unroll.operators.mask import Mask
from lowrank_unroll.operators.non_uniform_fourier import NonUniformFourier


class CartesianParts(NamedTuple):
    """The mask and the coils of a Cartesian acquisition.

    Attributes:
        mask: boolean, of a shape that broadcasts to k-space (batch, coil, time, height, width).
        sensitivities: (batch, coil, 1, height, width), complex; None for a single coil of uniform sensitivity.
    """

    mask: Tensor
    sensitivities: Tensor | None


class TrajectoryParts(NamedTuple):
    """The samples and the coils of an acquisition along a trajectory.

    Attributes:
        mask: boolean, of a shape that broadcasts to k-space (batch, coil, time, samples).
        amplitudes: roots of the weights, by which k-space is multiplied, of such a shape.
        trajectory: (batch, time, samples, 2), cycles per field of view.
        sensitivities: (batch, coil, 1, height, width), complex.
    """

    mask: Tensor
    amplitudes: Tensor
    trajectory: Tensor
    sensitivities: Tensor


def series_operator(
    mask: Tensor, sensitivities: Tensor | None, trajectory: Tensor | None = None, weights: Tensor | None = None
) -> LinearOperator:
    """Return the forward model of a series (batch, time, height, width), from the fields of a sample.

    On a Cartesian grid it is ``Mask(mask) @ Fourier() @ coil_operator(sensitivities)``. Along a trajectory k-space is
    multiplied by the roots of weights W, so that A^H y = F^H W (measured k-space) is density-compensated, and methods
    for ||A|| <= 1 work as on a grid:

        A = Mask(mask) @ Diagonal(sqrt(W)) @ NonUniformFourier(trajectory) @ CoilSensitivity(sensitivities)

    Args:
        mask: boolean, (batch, 1, time, height, width); along a trajectory (batch, 1, time, samples).
        sensitivities: (batch, coil, 1, height, width), complex; None for a single coil on a Cartesian grid.
        trajectory: (batch, time, samples, 2), cycles per field of view; None on a Cartesian grid.
        weights: (batch, time, samples), such as those of :func:`unit_norm_weights`; given with a trajectory.

    Raises:
        ValueError: if a trajectory is given without weights or sensitivities.
    """
    if trajectory is None:
        return SampledFourier(mask) @ coil_operator(sensitivities)
    if weights is None or sensitivities is None:
        raise ValueError(
            "a trajectory was given without weights or coil sensitivities, expected both; sensitivities, ones for a "
            "single coil, tell the size of the image"
        )
    fourier = NonUniformFourier(trajectory, (sensitivities.shape[-2], sensitivities.shape[-1]))
    return Mask(mask) @ Diagonal(weights.sqrt()[:, None]) @ fourier @ coil_operator(sensitivities)


def cartesian_parts(operator: LinearOperator) -> CartesianParts | None:
    """Return the parts of ``Mask(mask) @ Fourier() @ coil_operator(sensitivities)``; None for another operator."""
    match _factors(operator):
        case [Mask(mask=mask), Fourier(), CoilSensitivity(sensitivities=sensitivities)]:
            return CartesianParts(mask, sensitivities)
        case [Mask(mask=mask), Fourier(), SingleCoil()]:
            return CartesianParts(mask, None)
    return None


def trajectory_parts(operator: LinearOperator) -> TrajectoryParts | None:
    """Return the parts of :func:`series_operator` along a trajectory; None for another operator."""
    match _factors(operator):
        case [
            Mask(mask=mask),
            Diagonal(values=amplitudes),
            NonUniformFourier(trajectory=trajectory),
            CoilSensitivity(sensitivities=sensitivities),
        ]:
            return TrajectoryParts(mask, amplitudes, trajectory, sensitivities)
    return None


def _factors(operator: LinearOperator) -> list[LinearOperator]:
    if isinstance(operator, Composition):
        return [*_factors(operator.outer), *_factors(operator.inner)]
    return [operator]
