"""What the coils of a scanner measured, as samples: as it was sampled, or undersampled anew."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from datamodules.dynamic_mri.acquisition import scaled
from datamodules.dynamic_mri.cine import Frames
from datamodules.dynamic_mri.crops import Crops
from datamodules.dynamic_mri.drawn_crops import DrawnCrops
from datamodules.loading.drawn_datasets import DrawnDataset
from datamodules.raw_data.readout import narrow_readout
from lowrank_unroll.errors import UsageError
from lowrank_unroll.operators import CoilSensitivity, Fourier
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import SamplingPattern


class MeasuredScan(NamedTuple):
    """A series: what to call it, k-space (coil, time, height, width), where it is sampled (time, height, width).

    The sensitivities of the coils are (coil, height, width).
    """

    name: str
    kspace: Frames
    sampled: Frames
    coil_sensitivities: Frames

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, height, width)."""
        return self.sampled.shape


class MeasuredScans(DrawnDataset):
    """Series as they were measured, or crops of them in time and along the readout, where lines are sampled whole.

    With a pattern, k-space is undersampled by it, and the target is what the coils see together in all that was
    measured, noise included. Without, there is no target. A sample is a function of the seeds and its draw, see
    :class:`DrawnCrops`.

    Args:
        scans: what was measured.
        pattern: to undersample it by; None leaves it as it is.
        seeds: of everything random, for one split other than for the next.
        crops: which crops of each series there are; the length is how many.

    Raises:
        UsageError: if a series is smaller than the window; names the series.
    """

    def __init__(
        self,
        scans: Sequence[MeasuredScan],
        pattern: SamplingPattern | None,
        seeds: Sequence[int],
        crops: Crops = Crops(),  # noqa: B008  immutable
    ) -> None:
        self.drawn = DrawnCrops(scans, seeds, crops)
        self.pattern = pattern

    def __len__(self) -> int:
        """The number of crops."""
        return len(self.drawn)

    def __getitem__(self, draw: int) -> Sample:
        """The sample of a draw, complex64."""
        scan, (time, height, _), name, generator = self.drawn(draw)
        kspace, sampled = narrow_readout(
            torch.from_numpy(scan.kspace[:, time]),
            torch.from_numpy(scan.sampled[time]),
            height.stop - height.start,
            height.start,
        )
        sensitivities = torch.from_numpy(scan.coil_sensitivities[:, height])[:, None]
        target = None
        if self.pattern is not None:
            target = (Fourier() @ CoilSensitivity(sensitivities[None])).adjoint(kspace[None])[0]
            sampled = sampled & self.pattern(sampled.shape, generator)
        unit = torch.tensor(1.0)
        return scaled(Sample(kspace * sampled, target, sampled[None], sensitivities, unit, name, "measured"))


def check_fully_sampled(scan: MeasuredScan) -> None:
    """Refuse what is no ground truth: lines are missing between others; at an end they may, as in partial Fourier.

    Raises:
        UsageError: names the series.
    """
    lines = np.asarray(scan.sampled[:].any(1))
    measured = np.flatnonzero(lines.any(0))
    if not lines[:, measured[0] : measured[-1] + 1].all():
        raise UsageError(
            f"series {scan.name} is not fully sampled, and has no ground truth: leave out --data.pattern, or choose "
            "other files with --data.files"
        )
