"""LightningModules: one per task, on one base."""

from lowrank_unroll.deprecation import moved_names
from lowrank_unroll.errors import NonFiniteGradientError
from lowrank_unroll.modules.color_cs import ColorCS
from lowrank_unroll.modules.completion import CompletionModule
from lowrank_unroll.modules.dynamic_mri import DynamicMRI
from lowrank_unroll.modules.losses import LogSquaredError, SquaredError
from lowrank_unroll.modules.low_rank_plus_sparse import LowRankPlusSparse
from lowrank_unroll.modules.muon import KernelMuon
from lowrank_unroll.modules.reconstruction import ReconstructionModule, StepOutput
from lowrank_unroll.modules.series import SeriesModule
from lowrank_unroll.modules.series_denoising import SeriesDenoising
from lowrank_unroll.modules.spectral_cs import SpectralCS
from lowrank_unroll.modules.supervision import SSDU, relative_error
from lowrank_unroll.modules.sure import SURE

__all__ = [
    "SSDU",
    "SURE",
    "ColorCS",
    "CompletionModule",
    "DynamicMRI",
    "KernelMuon",
    "LogSquaredError",
    "LowRankPlusSparse",
    "NonFiniteGradientError",
    "ReconstructionModule",
    "SeriesDenoising",
    "SeriesModule",
    "SpectralCS",
    "SquaredError",
    "StepOutput",
    "relative_error",
]

__getattr__ = moved_names(__name__, {"Step": f"{__name__}:StepOutput", "Stopwatch": "lowrank_unroll.runs"})
