"""Series that were measured with noise."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from datamodules.denoising.added_noise import denoising_sample
from datamodules.dynamic_mri.cine import Cine
from lowrank_unroll.operators import estimate_white_noise
from lowrank_unroll.sample import Sample


class MeasuredSeries(Dataset[Sample]):
    """Series with noise, in units of it, as samples without target.

    Args:
        cines: (time, height, width) each, magnitude or complex.
        noise: standard deviation of the real part of the noise, in the unit of the series; None to estimate it from
            each of them.
    """

    def __init__(self, cines: Sequence[Cine], noise: float | None) -> None:
        self.cines = cines
        self.noise = noise

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.cines)

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of a series, complex64."""
        cine = self.cines[index]
        series = torch.as_tensor(np.ascontiguousarray(cine.frames[:])).to(torch.complex64)
        sigma = torch.tensor(self.noise) if self.noise else estimate_white_noise(series[None])[0]
        sigma = torch.where(sigma > 0, sigma, 1)
        return denoising_sample(series / sigma, None, sigma, cine.name, "measured")
