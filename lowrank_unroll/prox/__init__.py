"""Proximal steps: the learned low-rank block, and soft thresholding."""

from lowrank_unroll.prox.low_rank import LowRankProx, RelativeThreshold, ShrinkageGradient
from lowrank_unroll.prox.sparse import soft_threshold

__all__ = ["LowRankProx", "RelativeThreshold", "ShrinkageGradient", "soft_threshold"]
