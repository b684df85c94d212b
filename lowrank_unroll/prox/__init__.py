"""Proximal steps: the learned low-rank block, the matrices that it shrinks, soft thresholding and total variation."""

from lowrank_unroll.deprecation import moved_names
from lowrank_unroll.prox.blocks import block_count, from_blocks, to_blocks
from lowrank_unroll.prox.low_rank import (
    LowRankProx,
    RelativeThreshold,
    ShrinkageGradient,
    remove_shrinkage,
    trained_low_rank_steps,
)
from lowrank_unroll.prox.matricizations import Blocks, Casorati, FourierSlices, Frames, Matricization, Patches
from lowrank_unroll.prox.patches import (
    add_patches,
    average_patches,
    count_patches,
    map_patches,
    match_patches,
    to_patches,
)
from lowrank_unroll.prox.sparse import soft_threshold
from lowrank_unroll.prox.total_variation import total_variation_step
from lowrank_unroll.prox.unfolding import casorati, casorati_singular_value_threshold, fold, unfold
from lowrank_unroll.prox.windows import map_windows

__all__ = [
    "Blocks",
    "Casorati",
    "FourierSlices",
    "Frames",
    "LowRankProx",
    "Matricization",
    "Patches",
    "RelativeThreshold",
    "ShrinkageGradient",
    "add_patches",
    "average_patches",
    "block_count",
    "casorati",
    "casorati_singular_value_threshold",
    "count_patches",
    "fold",
    "from_blocks",
    "map_patches",
    "map_windows",
    "match_patches",
    "remove_shrinkage",
    "soft_threshold",
    "to_blocks",
    "to_patches",
    "total_variation_step",
    "trained_low_rank_steps",
    "unfold",
]

__getattr__ = moved_names(__name__, {"Images": f"{__name__}:Frames"})
