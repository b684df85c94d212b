"""Series of images as samples of dynamic MRI: cropped and measured."""

from collections.abc import Sequence

import numpy as np
import torch

from datamodules.dynamic_mri.acquisition import Acquisition
from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.crops import Crops
from datamodules.dynamic_mri.drawn_crops import DrawnCrops
from datamodules.dynamic_mri.simulation import smooth_phase
from datamodules.loading.drawn_datasets import DrawnDataset
from lowrank_unroll.sample import Sample


class MeasuredCines(DrawnDataset):
    """Series of images, or crops of them, as an acquisition would measure them.

    Magnitude series are given a smooth phase. A sample is a function of the seeds and its draw, see
    :class:`DrawnCrops`: place, phase, coils, noise and mask.

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
        self.drawn = DrawnCrops(cines, seeds, crops)
        self.acquisition = acquisition
        self.origin = origin

    def __len__(self) -> int:
        """The number of crops."""
        return len(self.drawn)

    def __getitem__(self, draw: int) -> Sample:
        """The sample of a draw, complex64."""
        cine, (time, height, width), name, generator = self.drawn(draw)
        crop = torch.as_tensor(np.ascontiguousarray(cine.frames[time, height, width]))
        sensitivities = None
        if cine.coil_sensitivities is not None:
            sensitivities = torch.as_tensor(cine.coil_sensitivities[:, height, width])[:, None]
        if not crop.is_complex():
            crop = crop.float() * smooth_phase(crop.shape[1], crop.shape[2], generator)
        return self.acquisition.measure(crop.to(torch.complex64), name, self.origin, generator, sensitivities)
