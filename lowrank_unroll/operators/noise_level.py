"""The noise level of measured k-space, from the k-space itself, and the RMS of the series that it is compared to."""

import math

import torch
from torch import Tensor

from lowrank_unroll.operators import LinearOperator, cartesian_parts, trajectory_parts

# Motion adds to the residual, mostly where k-space is strong: a low quantile of the magnitudes leaves it out.
QUANTILE = 0.25
SAMPLES = 2**16
SEED = 3407


@torch.no_grad()
def estimate_noise(measurement: Tensor, operator: LinearOperator, series: Tensor) -> Tensor:
    """Estimate the standard deviation of noise from the part of k-space that the mean of a series over time leaves.

    Magnitudes of complex normal noise have a Rayleigh distribution, whose quantile q is sigma sqrt(-2 log(1 - q)).
    Values that are exactly zero count as not measured. Along a trajectory the noise n has the weights W of k-space: its
    standard deviation is sigma sqrt(W), and sigma sqrt(sum W^2 / sum W) is returned, for white noise with that
    standard deviation has the same mean power ||A^H n||^2.

    Args:
        measurement: y, (batch, coil, time, height, width), or (batch, coil, time, samples) along a trajectory, complex.
        operator: A.
        series: an approximate reconstruction of y, (batch, time, height, width), complex.

    Returns:
        The standard deviation of the real part, equal to that of the imaginary part, (batch,), in the unit of the
        measurement; 0 where nothing was measured.
    """
    static = series.mean(1, keepdim=True).expand_as(series)
    if on_grid := cartesian_parts(operator):
        measurement = measurement * on_grid.mask  # which may hold more than the operator measures
    along, residual = trajectory_parts(operator), measurement - operator(static)
    if along is None:
        return _scale_of_noise(*_some(measurement.flatten(1), residual.flatten(1)))
    amplitudes = along.amplitudes.expand_as(residual).flatten(1)
    drawn = _by_area(amplitudes.square())
    measured, residual, amplitudes = (
        part.gather(1, drawn) for part in (measurement.flatten(1), residual.flatten(1), amplitudes)
    )
    white = residual / amplitudes.where(amplitudes > 0, 1)
    return root_mean_square(amplitudes) * _scale_of_noise(measured, white)


def _scale_of_noise(measured: Tensor, residual: Tensor) -> Tensor:
    """Return the scale of the Rayleigh distribution of the magnitudes of a residual, where measured, (batch,)."""
    magnitudes = residual.abs().where(measured != 0, torch.nan)
    return (magnitudes.nanquantile(QUANTILE, dim=1) / math.sqrt(-2 * math.log(1 - QUANTILE))).nan_to_num(0)


def _some(measured: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
    """Draw as many values of (batch, values) as suffice."""
    if measured.shape[1] <= SAMPLES:
        return measured, residual
    chosen = torch.randint(measured.shape[1], (SAMPLES,), generator=_generator(), device="cpu").to(measured.device)
    return measured[:, chosen], residual[:, chosen]


def _by_area(weights: Tensor) -> Tensor:
    """Draw indices of (batch, values) in proportion to the weights, so that each area of k-space counts alike.

    The center of k-space, where motion is strong, has many samples of little weight.
    """
    edges = weights.double().cumsum(1)
    uniform = torch.rand(1, SAMPLES, generator=_generator(), device="cpu", dtype=torch.float64)
    drawn = torch.searchsorted(edges, uniform.to(weights.device) * edges[:, -1:])
    return drawn.clamp(max=weights.shape[1] - 1)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


@torch.no_grad()
def root_mean_square(series: Tensor) -> Tensor:
    """Return the root mean square of each series (batch, ...), shape (batch,)."""
    norm: Tensor = torch.linalg.vector_norm(series.flatten(1), dim=1)
    return norm / math.sqrt(series[0].numel())
