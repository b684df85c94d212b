"""LightningModules: one per task, on one base."""

from lowrank_unroll.deprecation import moved_names
from lowrank_unroll.errors import NonFiniteGradientError
from lowrank_unroll.modules.color_cs import ColorCS
from lowrank_unroll.modules.completion import CompletionModule
from lowrank_unroll.modules.dynamic_mri import DynamicMRI
from lowrank_unroll.modules.losses import LogSquaredError, SquaredError
from lowrank_unroll.modules.muon import KernelMuon
from lowrank_unroll.modules.reconstruction import ReconstructionModule, StepOutput
from lowrank_unroll.modules.spectral_cs import SpectralCS
from lowrank_unroll.modules.supervision import SSDU, relative_error

__all__ = [
    "SSDU",
    "ColorCS",
    "CompletionModule",
    "DynamicMRI",
    "KernelMuon",
    "LogSquaredError",
    "NonFiniteGradientError",
    "ReconstructionModule",
    "SpectralCS",
    "SquaredError",
    "StepOutput",
    "relative_error",
]

__getattr__ = moved_names(__name__, {"Step": f"{__name__}:StepOutput", "Stopwatch": "lowrank_unroll.runs"})
