"""Proximal steps: the learned low-rank block, the matrices that it shrinks, and soft thresholding."""

from lowrank_unroll.prox.low_rank import (
    LowRankProx,
    RelativeThreshold,
    ShrinkageGradient,
    remove_shrinkage,
    trained_low_rank_steps,
)
from lowrank_unroll.prox.matricizations import Blocks, Casorati, Images, Matricization, Patches
from lowrank_unroll.prox.sparse import soft_threshold
from lowrank_unroll.prox.total_variation import total_variation_step

__all__ = [
    "Blocks",
    "Casorati",
    "Images",
    "LowRankProx",
    "Matricization",
    "Patches",
    "RelativeThreshold",
    "ShrinkageGradient",
    "remove_shrinkage",
    "soft_threshold",
    "total_variation_step",
    "trained_low_rank_steps",
]
