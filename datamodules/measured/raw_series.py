"""Series in raw files of scanners, to reconstruct."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from datamodules.measured.coil_treatment import Coils, Measured, Treated
from datamodules.measured.ismrmrd.geometry import scan_geometry
from datamodules.measured.ismrmrd.lines import DIMS
from datamodules.measured.ismrmrd.raw_file import RawFile
from datamodules.measured.scaling import scale_to_unit_maximum
from datamodules.measured.scan_series import ScanSeries, time_dim
from lowrank_unroll.names import one_line
from lowrank_unroll.sample import Geometry, Sample

WITHOUT_COILS = tuple(dim for dim in DIMS if dim != "coil")
logger = logging.getLogger(__name__)


class RawSeries(ScanSeries):
    """The series of an ISMRMRD file: one for each slice, average, repetition, set and contrast.

    Frames are the cardiac phases or, if there is only one, the repetitions; frames that were never measured are left
    out, with a warning in the log. The coils are treated by :class:`CoilTreatment`. Phase oversampling stays in the
    image, and can only be cropped after the reconstruction: the geometry has the number of pixels to show. The file is
    read series by series. A sample's target is unknown.

    Args:
        path: of the file.
        coils: treatment of the coils.
        name: prefix of the names of the series; None for the name of the file.

    Raises:
        FileNotFoundError: if the file, or one that ``coils`` names, does not exist.
        DataError: if it cannot be read, or is of a volume instead of slices, or a given covariance or given
            sensitivities do not fit; names it.
    """

    def __init__(self, path: Path, coils: Coils = Coils(), name: str | None = None) -> None:  # noqa: B008  immutable
        self.file = RawFile(path)
        self.time = time_dim(self.file)
        sizes = self.file.sizes
        readout = min(self.file.header.recon.matrix_size[0], sizes["kx"])
        super().__init__(self.file, coils, (readout, sizes["ky"]), (self.time,), name)
        self._log_missing_frames()

    def __getitem__(self, index: int) -> Sample:
        """Read a series.

        Raises:
            DataError: if its samples cannot be read, are all zero or beyond single precision, or sensitivities cannot
                be estimated since the centre of k-space has gaps; names the file.
            ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
        """
        item = self.items[index]
        frames = self.file.measured_at(self.time, **item)
        part = self.file.kspace(**item)
        kspace = _inner(part.kspace, DIMS, ("coil", self.time, "kx", "ky"))[:, frames]
        sampled = _inner(part.sampled, WITHOUT_COILS, (self.time, "kx", "ky"))[frames]
        separate = self.file.calibration(item["slice"])
        calibration = None if separate is None else Measured(*map(torch.from_numpy, separate))
        series = Measured(torch.from_numpy(kspace), torch.from_numpy(sampled))
        treated = self.treatment(series, item["slice"], calibration)
        geometry = scan_geometry(self.file, self.time, kspace.shape[-1], **item)
        return sample_of(treated, self.names[index], geometry)

    def _log_missing_frames(self) -> None:
        frames = [len(self.file.measured_at(self.time, **item)) for item in self.items]
        expected = self.file.sizes[self.time]
        if short := [number for number in frames if number < expected]:
            logger.warning(
                "%s: of %d frames at least %d were never measured in %d of %d series, and are left out",
                one_line(str(self.file.path)), expected, expected - max(short), len(short), len(frames),
            )  # fmt: skip


def sample_of(treated: Treated, name: str, geometry: Geometry | None = None) -> Sample:
    """Return the scaled sample of a series whose coils are treated; its target is unknown."""
    unit, mask = torch.tensor(1.0), treated.sampled[None]
    sample = scale_to_unit_maximum(
        Sample(treated.kspace, None, mask, treated.sensitivities, unit, name, "measured", geometry)
    )
    return sample._replace(scale=sample.scale / treated.gain)


def _inner(array: npt.NDArray[Any], dims: Sequence[str], kept: Sequence[str]) -> npt.NDArray[Any]:
    """Transpose an array to some of its dims, in that order; the others have the size 1."""
    outer = [dim for dim in dims if dim not in kept]
    ordered = array.transpose([dims.index(dim) for dim in (*outer, *kept)])
    return np.ascontiguousarray(ordered[(0,) * len(outer)])
