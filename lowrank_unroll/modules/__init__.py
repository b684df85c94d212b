"""LightningModules: one per task, on one base."""

from lowrank_unroll.modules.color_cs import ColorCS
from lowrank_unroll.modules.reconstruction import ReconstructionModule, Step

__all__ = ["ColorCS", "ReconstructionModule", "Step"]
