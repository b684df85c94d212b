"""LightningModules: one per task, on one base."""

from lowrank_unroll.modules.color_cs import ColorCS
from lowrank_unroll.modules.reconstruction import NonFiniteGradientError, ReconstructionModule, Step

__all__ = ["ColorCS", "NonFiniteGradientError", "ReconstructionModule", "Step"]
