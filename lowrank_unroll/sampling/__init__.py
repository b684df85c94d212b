"""Sampling patterns: pure functions of a shape, a ratio and a random generator."""

from lowrank_unroll.sampling.uniform import uniform_mask

__all__ = ["uniform_mask"]
