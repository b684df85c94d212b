"""Lightning callbacks that show, draw and write what a run produces."""

from lowrank_unroll.callbacks.gradient_distance import GradientDistance
from lowrank_unroll.callbacks.prediction_writer import PredictionWriter
from lowrank_unroll.callbacks.progress_bar import MetricsProgressBar
from lowrank_unroll.callbacks.reconstruction_progress import ReconstructionProgress
from lowrank_unroll.callbacks.report import TestReport
from lowrank_unroll.callbacks.spectrum_monitor import SpectrumMonitor
from lowrank_unroll.callbacks.training_pictures import TrainingPictures
from lowrank_unroll.deprecation import moved_names

__all__ = [
    "GradientDistance",
    "MetricsProgressBar",
    "PredictionWriter",
    "ReconstructionProgress",
    "SpectrumMonitor",
    "TestReport",
    "TrainingPictures",
]

__getattr__ = moved_names(__name__, dict.fromkeys(("DeferredSignals", "ResumableCheckpoint"), "lowrank_unroll.runs"))
