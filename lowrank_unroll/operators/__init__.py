"""Linear forward models of an acquisition, and the steps that make an image agree with its measurement."""

from lowrank_unroll.deprecation import moved_names
from lowrank_unroll.operators.acquisition import (
    CartesianParts,
    TrajectoryParts,
    cartesian_parts,
    series_operator,
    trajectory_parts,
)
from lowrank_unroll.operators.coils import CoilSensitivity, SingleCoil, coil_operator
from lowrank_unroll.operators.conjugate_gradients import cg_iterates, conjugate_gradients, solve_cg
from lowrank_unroll.operators.data_consistency import (
    adjoint_residual,
    gradient_step,
    project_onto_measurement,
    proximal_step,
)
from lowrank_unroll.operators.density import density_weights, radial_weights, unit_norm_weights
from lowrank_unroll.operators.diagonal import Diagonal
from lowrank_unroll.operators.fourier import Fourier, SampledFourier, UncenteredFourier
from lowrank_unroll.operators.identity import Identity
from lowrank_unroll.operators.linear_operator import Adjoint, Composition, LinearOperator, Scaled, Sum
from lowrank_unroll.operators.mask import Mask
from lowrank_unroll.operators.non_uniform_fourier import NonUniformFourier
from lowrank_unroll.operators.sampled_columns import SampledColumns
from lowrank_unroll.operators.shapes import check_tensor
from lowrank_unroll.operators.superposition import Superposition
from lowrank_unroll.operators.white_noise import estimate_white_noise

__all__ = [
    "Adjoint",
    "CartesianParts",
    "CoilSensitivity",
    "Composition",
    "Diagonal",
    "Fourier",
    "Identity",
    "LinearOperator",
    "Mask",
    "NonUniformFourier",
    "SampledColumns",
    "SampledFourier",
    "Scaled",
    "SingleCoil",
    "Sum",
    "Superposition",
    "TrajectoryParts",
    "UncenteredFourier",
    "adjoint_residual",
    "cartesian_parts",
    "cg_iterates",
    "check_tensor",
    "coil_operator",
    "conjugate_gradients",
    "density_weights",
    "estimate_white_noise",
    "gradient_step",
    "project_onto_measurement",
    "proximal_step",
    "radial_weights",
    "series_operator",
    "solve_cg",
    "trajectory_parts",
    "unit_norm_weights",
]

__getattr__ = moved_names(
    __name__,
    {
        "UncentredFourier": f"{__name__}:UncenteredFourier",
        "iterates": f"{__name__}:cg_iterates",
        "solve": f"{__name__}:solve_cg",
    },
)
