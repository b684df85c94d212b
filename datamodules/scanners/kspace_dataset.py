"""Samples of prepared k-space: as it was sampled, or undersampled retrospectively."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.loading.crops import Crops, DrawnCrops
from datamodules.loading.drawn_datasets import DrawnDataset
from datamodules.loading.lazy_arrays import LazyArray
from datamodules.measured.readout import crop_readout_kspace
from datamodules.measured.scaling import scale_to_unit_maximum
from lowrank_unroll.errors import UsageError
from lowrank_unroll.operators import CoilSensitivity, Fourier
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import SamplingPattern


class KSpaceSeries(NamedTuple):
    """A series as the coils of a scanner measured it.

    Attributes:
        name: of the series.
        kspace: (coil, time, height, width), complex64.
        sampled: (time, height, width), boolean.
        coil_sensitivities: (coil, height, width), complex64.
    """

    name: str
    kspace: LazyArray
    sampled: LazyArray
    coil_sensitivities: LazyArray

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, height, width)."""
        return self.sampled.shape


class KSpaceDataset(DrawnDataset):
    """Series of measured k-space, or crops of them in time and along the readout, which is fully sampled.

    With a pattern, k-space is undersampled by it, and the target is the image combined from the coils, of all that was
    measured, noise included. Without, there is no target. A sample is a function of the seeds and its draw, see
    :class:`DrawnCrops`.

    Args:
        scans: the series.
        pattern: undersamples them; None leaves them as they are.
        seeds: of everything random, different for each split.
        crops: the crops of each series; the length of the dataset is their number.

    Raises:
        UsageError: if a series is smaller than the window; names the series.
    """

    def __init__(
        self,
        scans: Sequence[KSpaceSeries],
        pattern: SamplingPattern | None,
        seeds: Sequence[int],
        crops: Crops = Crops(),  # noqa: B008  immutable
    ) -> None:
        self.drawn = DrawnCrops(scans, seeds, crops)
        self.pattern = pattern

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self.drawn)

    def __getitem__(self, draw: int) -> Sample:
        """Return the sample of a draw, complex64."""
        scan, (time, height, _), name, generator = self.drawn(draw)
        kspace, sampled = crop_readout_kspace(
            torch.from_numpy(scan.kspace[:, time]),
            torch.from_numpy(scan.sampled[time]),
            height.stop - height.start,
            height.start,
        )
        sensitivities = torch.from_numpy(scan.coil_sensitivities[:, height])[:, None]
        target = None
        if self.pattern is not None:
            target = (Fourier() @ CoilSensitivity(sensitivities[None])).adjoint(kspace[None])[0]
            sampled = sampled & _mask_of(self.pattern, sampled.shape, generator)
        unit = torch.tensor(1.0)
        return scale_to_unit_maximum(
            Sample(kspace * sampled, target, sampled[None], sensitivities, unit, name, "measured")
        )


def _mask_of(pattern: SamplingPattern, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    mask = pattern(shape, generator)
    if mask.dtype != torch.bool:
        raise UsageError(
            f"{type(pattern).__name__} draws a trajectory, but the scans were measured on a Cartesian grid, and can be "
            "undersampled there alone: choose a pattern that draws masks, such as PseudoRadial"
        )
    return mask


def check_fully_sampled(scan: KSpaceSeries) -> None:
    """Refuse a series that is no ground truth, since lines within it are missing; at an end they may (partial Fourier).

    Raises:
        UsageError: if a line between measured ones is missing; names the series.
    """
    lines = np.asarray(scan.sampled[:].any(1))
    measured = np.flatnonzero(lines.any(0))
    if not lines[:, measured[0] : measured[-1] + 1].all():
        raise UsageError(
            f"series {scan.name} is not fully sampled, and has no ground truth: leave out --data.pattern, or choose "
            "other files with --data.files"
        )
