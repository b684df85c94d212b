"""Proximal steps as modules with learned parameters."""

from lowrank_unroll.prox.low_rank import LowRankProx, ShrinkageGradient

__all__ = ["LowRankProx", "ShrinkageGradient"]
