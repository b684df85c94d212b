"""Quality of a reconstruction, per sample: functions, and metrics that average them over a data set."""

from lowrank_unroll.metrics.components import f1, occupied, of_component
from lowrank_unroll.metrics.functional import (
    defined_values,
    frame_ssim,
    is_defined,
    mse,
    nmse,
    of_magnitudes,
    psnr,
    ser,
    ssim,
)
from lowrank_unroll.metrics.high_frequency import hfen
from lowrank_unroll.metrics.sample_mean import SampleMean
from lowrank_unroll.metrics.spectral import ergas, sam

__all__ = [
    "SampleMean",
    "defined_values",
    "ergas",
    "f1",
    "frame_ssim",
    "hfen",
    "is_defined",
    "mse",
    "nmse",
    "occupied",
    "of_component",
    "of_magnitudes",
    "psnr",
    "sam",
    "ser",
    "ssim",
]
