"""Differentiable singular value decomposition and shrinkage: pure functions of tensors."""

from lowrank_unroll.deprecation import moved_names
from lowrank_unroll.linalg.functions import singular_value_threshold, spectral_function, spectral_norm
from lowrank_unroll.linalg.last_derivative import last_derivative
from lowrank_unroll.linalg.measures import effective_rank, relative_gaps, relative_spectrum, tie_resolution, ties
from lowrank_unroll.linalg.precision import at_least_single, exact
from lowrank_unroll.linalg.shrinkage import Shrinkage
from lowrank_unroll.linalg.svd import SVDGradient, svd
from lowrank_unroll.linalg.tensors import tensor_singular_value_threshold
from lowrank_unroll.linalg.thresholding import Firm, Hard, SchattenP, Soft, Truncation, WeightedSoft

__all__ = [
    "Firm",
    "Hard",
    "SVDGradient",
    "SchattenP",
    "Shrinkage",
    "Soft",
    "Truncation",
    "WeightedSoft",
    "at_least_single",
    "effective_rank",
    "exact",
    "last_derivative",
    "relative_gaps",
    "relative_spectrum",
    "singular_value_threshold",
    "spectral_function",
    "spectral_norm",
    "svd",
    "tensor_singular_value_threshold",
    "tie_resolution",
    "ties",
]

MOVED = (
    *("block_count", "from_blocks", "to_blocks", "casorati", "fold", "unfold"),
    *("add_patches", "average_patches", "count_patches", "map_patches", "match_patches", "to_patches"),
)
__getattr__ = moved_names(__name__, dict.fromkeys(MOVED, "lowrank_unroll.prox"))
