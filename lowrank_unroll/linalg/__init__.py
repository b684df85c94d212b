"""Differentiable singular value decomposition and shrinkage: pure functions of tensors."""

from lowrank_unroll.deprecation import moved_names
from lowrank_unroll.linalg.autograd import not_differentiable
from lowrank_unroll.linalg.functions import (
    singular_value_threshold,
    spectral_function,
    spectral_norm,
    tensor_singular_value_threshold,
)
from lowrank_unroll.linalg.measures import effective_rank, relative_gaps, relative_spectrum, ties
from lowrank_unroll.linalg.precision import at_least_single, full_precision
from lowrank_unroll.linalg.random_matrices import (
    OptimalShrinker,
    centered_spectrum,
    noise_edge,
    noise_variance,
    safe_sqrt,
)
from lowrank_unroll.linalg.shrinkage import Shrinkage, tie_tolerance
from lowrank_unroll.linalg.svd import SVDGradient, svd
from lowrank_unroll.linalg.thresholding import Firm, Hard, SchattenP, Soft, Truncation, WeightedSoft

__all__ = [
    "Firm",
    "Hard",
    "OptimalShrinker",
    "SVDGradient",
    "SchattenP",
    "Shrinkage",
    "Soft",
    "Truncation",
    "WeightedSoft",
    "at_least_single",
    "centered_spectrum",
    "effective_rank",
    "full_precision",
    "noise_edge",
    "noise_variance",
    "not_differentiable",
    "relative_gaps",
    "relative_spectrum",
    "safe_sqrt",
    "singular_value_threshold",
    "spectral_function",
    "spectral_norm",
    "svd",
    "tensor_singular_value_threshold",
    "tie_tolerance",
    "ties",
]

MOVED = (
    *("block_count", "from_blocks", "to_blocks", "casorati", "fold", "unfold"),
    *("add_patches", "average_patches", "count_patches", "map_patches", "match_patches", "to_patches"),
)
RENAMED = {"exact": "full_precision", "last_derivative": "not_differentiable", "tie_resolution": "tie_tolerance"}
__getattr__ = moved_names(
    __name__,
    {**dict.fromkeys(MOVED, "lowrank_unroll.prox"), **{old: f"{__name__}:{new}" for old, new in RENAMED.items()}},
)
