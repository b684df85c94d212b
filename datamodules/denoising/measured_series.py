"""Series that were measured with noise."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.denoising.added_noise import denoising_sample
from datamodules.dynamic_mri.cine import Cine
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.operators import estimate_white_noise
from lowrank_unroll.sample import Sample


class MeasuredSeries(Dataset[Sample]):
    """Series with noise, in units of it, as samples without target.

    Methods expect noise of unit variance in the real and in the imaginary part, E|n|^2 = 2. A real series has all of it
    in the real part: its unit is the standard deviation of its noise over sqrt(2).

    Args:
        cines: (time, height, width) each, real, such as magnitudes, or complex.
        noise: standard deviation of the noise of a real series, or of the real part of that of a complex one, in the
            unit of the series; None to estimate it from each of them.
    """

    def __init__(self, cines: Sequence[Cine], noise: float | None) -> None:
        self.cines = cines
        self.noise = noise

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.cines)

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of a series, complex64.

        Raises:
            DataError: if the level of the noise is not given, and the series does not tell it; names the series.
        """
        cine = self.cines[index]
        series = torch.as_tensor(np.ascontiguousarray(cine.frames[:]))
        series = series.to(torch.complex64 if series.is_complex() else torch.float32)
        noise = _estimate(series, cine.name) if self.noise is None else torch.tensor(self.noise)
        unit = noise if series.is_complex() else noise / math.sqrt(2)
        return denoising_sample(series.to(torch.complex64) / unit, None, unit, cine.name, "measured")


def _estimate(series: Tensor, name: str) -> Tensor:
    """Return the standard deviation of the noise of a series, or of its real part; 1 if all is zero."""
    advice = "give its standard deviation: --data.predict_noise"
    try:
        (noise,) = estimate_white_noise(series[None])
    except UsageError as error:
        raise DataError(f"{name}: {error}. If it is known, {advice}") from error
    if noise == 0 and series.any():
        raise DataError(f"{name}: no noise is found, expected a series with white noise. If it has some, {advice}")
    return noise if noise > 0 else torch.ones(())
