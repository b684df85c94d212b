"""Lightning callbacks that show and keep what a run produces."""

from lowrank_unroll.callbacks.checkpoint import ResumableCheckpoint
from lowrank_unroll.callbacks.deferred_signals import DeferredSignals
from lowrank_unroll.callbacks.gradient_distance import GradientDistance
from lowrank_unroll.callbacks.prediction_writer import PredictionWriter
from lowrank_unroll.callbacks.reconstruction_progress import ReconstructionProgress
from lowrank_unroll.callbacks.spectrum_monitor import SpectrumMonitor
from lowrank_unroll.callbacks.test_report import TestReport
from lowrank_unroll.callbacks.training_pictures import TrainingPictures

__all__ = [
    "DeferredSignals",
    "GradientDistance",
    "PredictionWriter",
    "ReconstructionProgress",
    "ResumableCheckpoint",
    "SpectrumMonitor",
    "TestReport",
    "TrainingPictures",
]
