"""Lightning callbacks that show and keep what a run produces."""

from lowrank_unroll.callbacks.checkpoint import ResumableCheckpoint
from lowrank_unroll.callbacks.prediction_writer import PredictionWriter
from lowrank_unroll.callbacks.spectrum_monitor import SpectrumMonitor
from lowrank_unroll.callbacks.test_animation import TestAnimation
from lowrank_unroll.callbacks.test_report import TestReport

__all__ = ["PredictionWriter", "ResumableCheckpoint", "SpectrumMonitor", "TestAnimation", "TestReport"]
