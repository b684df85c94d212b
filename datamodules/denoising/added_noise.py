"""Noise that is added to a series of images."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.dynamic_mri.acquisition import SimulatedDataset, check_snr, draw_log_uniformly
from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.simulation import squared_magnitude
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.sample import Sample


@dataclass(frozen=True)
class AddedNoise:
    """A measurement of the series itself, with complex white Gaussian noise.

    Args:
        snr: root mean square of the series over the standard deviation of the real part of the noise, and likewise of
            the imaginary part; or the smallest and largest, between which each sample draws one, log-uniformly.

    Raises:
        ValueError: if a ratio is not positive and finite, or the smaller one does not come first.
    """

    snr: float | tuple[float, float]

    def __post_init__(self) -> None:
        check_snr(self.snr)

    def measure(
        self, series: Tensor, name: str, origin: str, generator: torch.Generator, sensitivities: Tensor | None = None
    ) -> Sample:
        """Add noise to a complex series (time, height, width); the unit of the sample is the standard deviation of it.

        Sensitivities are not used: the coils of the series are combined.
        """
        snr = draw_log_uniformly(self.snr, generator)
        rms = squared_magnitude(series).mean().sqrt()
        sigma = torch.where(rms > 0, rms, 1) / snr
        # A complex normal number of torch has variance 1, 1/2 in each part.
        noise = math.sqrt(2) * torch.randn(series.shape, dtype=series.dtype, generator=generator)
        target = series / sigma
        return denoising_sample(target + noise, target, sigma, name, origin)


def denoising_sample(measurement: Tensor, target: Tensor | None, sigma: Tensor, name: str, origin: str) -> Sample:
    """Return the sample of a series with noise.

    Args:
        measurement: (time, height, width), complex64, in units of the noise.
        target: without noise, of the same shape and in the same unit; None if not known.
        sigma: the unit, root of E|n|^2 / 2, in that of the data: the standard deviation of the real part of complex
            noise, and likewise of the imaginary part.
        name: of the sample.
        origin: of the sample.
    """
    everywhere = torch.ones(measurement.shape, dtype=torch.bool)
    return Sample(measurement, target, everywhere, None, sigma.float(), name, origin)


def add_noise_to_series(series: npt.ArrayLike, snr: float = 6.0, *, seed: int = 0) -> Sample:
    """Add noise to a series of images, as the DataModules of denoising do.

    Args:
        series: (time, height, width), magnitudes, which are given a smooth phase, or complex; in any unit.
        snr: root mean square of the series over the standard deviation of the real part of the noise, and likewise of
            the imaginary part.
        seed: of phase and noise.

    Returns:
        The sample without a batch dim; measurement and target are (time, height, width), complex64, in units of the
        standard deviation of the real part of the noise.

    Raises:
        ValueError: if the array is of another shape, or a number is too small.
    """
    check_at_least(0, seed=seed)
    frames = np.asarray(series)
    if frames.ndim != 3 or not frames.size:  # noqa: PLR2004
        raise ValueError(f"series is {frames.shape}, expected (time, height, width)")
    return SimulatedDataset([Cine(frames, "series")], AddedNoise(snr), "semi-synthetic", (seed,))[0]
