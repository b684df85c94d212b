"""Proximal steps: the learned low-rank block, and soft thresholding."""

from lowrank_unroll.prox.low_rank import LowRankProx, ShrinkageGradient
from lowrank_unroll.prox.sparse import soft_threshold

__all__ = ["LowRankProx", "ShrinkageGradient", "soft_threshold"]
