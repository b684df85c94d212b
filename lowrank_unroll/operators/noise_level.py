"""The noise level of measured k-space, from the k-space itself, and the RMS of the series that it is compared to."""

import math

import torch
from torch import Tensor

from lowrank_unroll.operators import LinearOperator

# Motion adds to the residual, mostly where k-space is strong: a low quantile of the magnitudes leaves it out.
QUANTILE = 0.25
SAMPLES = 2**16
SEED = 3407


@torch.no_grad()
def estimate_noise(measurement: Tensor, operator: LinearOperator, series: Tensor) -> Tensor:
    """Estimate the standard deviation of noise from the part of k-space that the mean of a series over time leaves.

    Magnitudes of complex normal noise have a Rayleigh distribution, whose quantile q is sigma sqrt(-2 log(1 - q)).
    Values that are exactly zero count as not measured.

    Args:
        measurement: y, (batch, coil, time, height, width), complex.
        operator: A.
        series: an approximate reconstruction of y, (batch, time, height, width), complex.

    Returns:
        The standard deviation of the real part, equal to that of the imaginary part, (batch,), in the unit of the
        measurement; 0 where nothing was measured.
    """
    static = series.mean(1, keepdim=True).expand_as(series)
    measured, residual = measurement.flatten(1), (measurement - operator(static)).flatten(1)
    if measured.shape[1] > SAMPLES:
        generator = torch.Generator().manual_seed(SEED)
        chosen = torch.randint(measured.shape[1], (SAMPLES,), generator=generator, device="cpu").to(measured.device)
        measured, residual = measured[:, chosen], residual[:, chosen]
    magnitudes = residual.abs().where(measured != 0, torch.nan)
    return (magnitudes.nanquantile(QUANTILE, dim=1) / math.sqrt(-2 * math.log(1 - QUANTILE))).nan_to_num(0)


@torch.no_grad()
def root_mean_square(series: Tensor) -> Tensor:
    """Return the root mean square of each series (batch, ...), shape (batch,)."""
    norm: Tensor = torch.linalg.vector_norm(series.flatten(1), dim=1)
    return norm / math.sqrt(series[0].numel())
