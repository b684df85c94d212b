"""The parts of an acquisition on a Cartesian grid."""

from typing import NamedTuple

from torch import Tensor

from lowrank_unroll.operators.coils import CoilSensitivity, SingleCoil
from lowrank_unroll.operators.fourier import Fourier
from lowrank_unroll.operators.linear_operator import Composition, LinearOperator
from lowrank_unroll.operators.mask import Mask


class CartesianParts(NamedTuple):
    """The mask and the coils of a Cartesian acquisition.

    Attributes:
        mask: boolean, of a shape that broadcasts to k-space (batch, coil, time, height, width).
        sensitivities: (batch, coil, 1, height, width), complex; None for a single coil of uniform sensitivity.
    """

    mask: Tensor
    sensitivities: Tensor | None


def cartesian_parts(operator: LinearOperator) -> CartesianParts | None:
    """Return the parts of ``Mask(mask) @ Fourier() @ coil_operator(sensitivities)``; None for another operator."""
    match _factors(operator):
        case [Mask(mask=mask), Fourier(), CoilSensitivity(sensitivities=sensitivities)]:
            return CartesianParts(mask, sensitivities)
        case [Mask(mask=mask), Fourier(), SingleCoil()]:
            return CartesianParts(mask, None)
    return None


def _factors(operator: LinearOperator) -> list[LinearOperator]:
    if isinstance(operator, Composition):
        return [*_factors(operator.outer), *_factors(operator.inner)]
    return [operator]
