"""Series of images as samples of dynamic MRI: cropped and measured."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from datamodules.dynamic_mri.acquisition import Acquisition
from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.crops import Crops
from datamodules.dynamic_mri.simulation import smooth_phase
from datamodules.loading.random_numbers import generator_of
from lowrank_unroll.sample import Sample


class MeasuredCines(Dataset[Sample]):
    """Series of images, or crops of them, as an acquisition would measure them.

    Magnitude series are given a smooth phase. A sample is a function of the seeds and its draw: indices up to the
    length are always the same samples; a draw beyond the length is the crop at the draw modulo the length with a fresh
    random place, phase, coils, noise and mask.

    Args:
        cines: what to measure, (time, height, width) each.
        acquisition: how.
        origin: what to call the result, see :class:`Sample`.
        seeds: of everything random, for one split other than for the next.
        crops: which crops of each series there are; the length is how many.

    Raises:
        UsageError: if a series is smaller than the window; names the series.
    """

    def __init__(
        self,
        cines: Sequence[Cine],
        acquisition: Acquisition,
        origin: str,
        seeds: Sequence[int],
        crops: Crops = Crops(),  # noqa: B008  immutable
    ) -> None:
        for cine in cines:
            crops.window.check_fits(cine.name, cine.frames.shape)
        self.acquisition = acquisition
        self.origin = origin
        self.seeds = seeds
        self.window = crops.window
        self.crops = [(cine, start) for cine in cines for start in crops.starts(cine.frames.shape)]
        self.one_crop_each = len(self.crops) == len(cines)

    def __len__(self) -> int:
        """The number of crops."""
        return len(self.crops)

    def __getitem__(self, draw: int) -> Sample:
        """The sample of a draw, complex64."""
        cine, start = self.crops[draw % len(self)]
        generator = generator_of(*self.seeds, draw)
        time, height, width = self.window.place(cine.frames.shape, start, generator)
        crop = torch.as_tensor(np.ascontiguousarray(cine.frames[time, height, width]))
        sensitivities = None
        if cine.coil_sensitivities is not None:
            sensitivities = torch.as_tensor(cine.coil_sensitivities[:, height, width])[:, None]
        if not crop.is_complex():
            crop = crop.float() * smooth_phase(crop.shape[1], crop.shape[2], generator)
        name = cine.name if self.one_crop_each and draw < len(self) else f"{cine.name}[draw {draw}]"
        return self.acquisition.measure(crop.to(torch.complex64), name, self.origin, generator, sensitivities)
