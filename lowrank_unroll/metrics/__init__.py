"""Quality of a reconstruction, per sample: functions, and metrics that average them over a data set."""

from lowrank_unroll.metrics.functional import is_defined, mse, psnr, ser, ssim
from lowrank_unroll.metrics.sample_mean import SampleMean

__all__ = ["SampleMean", "is_defined", "mse", "psnr", "ser", "ssim"]
