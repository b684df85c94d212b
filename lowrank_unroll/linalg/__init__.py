"""Differentiable singular value decomposition and shrinkage: pure functions of tensors."""

from lowrank_unroll.linalg.svd import SVDGradient, svd
from lowrank_unroll.linalg.threshold import singular_value_threshold

__all__ = ["SVDGradient", "singular_value_threshold", "svd"]
