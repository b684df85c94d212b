"""Linear forward models of an acquisition, and the steps that make an image agree with what was measured."""

from lowrank_unroll.operators.acquisition import CartesianParts, cartesian_parts
from lowrank_unroll.operators.coils import CoilSensitivity, SingleCoil, coil_operator
from lowrank_unroll.operators.conjugate_gradients import conjugate_gradients, iterates, solve
from lowrank_unroll.operators.data_consistency import (
    adjoint_residual,
    gradient_step,
    project_onto_measurement,
    proximal_step,
)
from lowrank_unroll.operators.fitting import check_tensor
from lowrank_unroll.operators.fourier import Fourier, SampledFourier, UncentredFourier
from lowrank_unroll.operators.linear_operator import Adjoint, Composition, LinearOperator
from lowrank_unroll.operators.mask import Mask

__all__ = [
    "Adjoint",
    "CartesianParts",
    "CoilSensitivity",
    "Composition",
    "Fourier",
    "LinearOperator",
    "Mask",
    "SampledFourier",
    "SingleCoil",
    "UncentredFourier",
    "adjoint_residual",
    "cartesian_parts",
    "check_tensor",
    "coil_operator",
    "conjugate_gradients",
    "gradient_step",
    "iterates",
    "project_onto_measurement",
    "proximal_step",
    "solve",
]
