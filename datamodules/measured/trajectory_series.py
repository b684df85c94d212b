"""Series in raw files of scanners that were measured along trajectories, to reconstruct."""

import logging
import math
from pathlib import Path

import torch
from torch import Tensor

from datamodules.measured.coil_treatment import Coils, Measured
from datamodules.measured.coils import mix_coils
from datamodules.measured.ismrmrd.geometry import trajectory_geometry
from datamodules.measured.ismrmrd.trajectory_file import TrajectoryFile
from datamodules.measured.scan_series import ScanSeries, time_dim
from datamodules.measured.spokes import Spokes
from datamodules.measured.trajectories import grid_samples, trajectory_sample
from lowrank_unroll.errors import DataError
from lowrank_unroll.names import one_line
from lowrank_unroll.sample import Sample

MOST_UNDERSAMPLED = 64  # largest ratio of the pixels and samples of a frame; beyond, sizes in the header are wrong
MOST_OVERSAMPLED = 2  # field of view of the readout that sensitivities are estimated on, relative to that of the image
logger = logging.getLogger(__name__)


class TrajectorySeries(ScanSeries):
    """The series of an ISMRMRD file along a trajectory: one for each slice, average, repetition, set and contrast.

    Frames are as many consecutive spokes as ``spokes`` says, whatever their phase and repetition; or else the phases or
    repetitions, as of :class:`RawSeries`. The image is the reconstructed matrix of the header: readout oversampling
    stays in k-space, where it keeps tissue around the image from aliasing in, and samples beyond the resolution of the
    matrix are not used. The coils are treated by :class:`CoilTreatment`. Sensitivities, unless they are given, are
    estimated from all readouts of a series, gridded with density weights. A sample's target is unknown.

    Args:
        path: of the file.
        coils: treatment of the coils.
        spokes: frames and positions of the readouts.
        name: prefix of the names of the series; None for the name of the file.

    Raises:
        FileNotFoundError: if the file, or one that ``coils`` names, does not exist.
        DataError: if it cannot be read, or is of a volume instead of slices, or a given covariance or given
            sensitivities do not fit; names it.
    """

    def __init__(
        self,
        path: Path,
        coils: Coils = Coils(),  # noqa: B008  immutable
        spokes: Spokes = Spokes(),  # noqa: B008  immutable
        name: str | None = None,
    ) -> None:
        self.file, self.spokes = TrajectoryFile(path), spokes
        self.time = time_dim(self.file)
        height, width, _ = self.file.header.recon.matrix_size
        self.shape = height, width
        pooled = ("phase", "repetition") if spokes.per_frame else (self.time,)
        super().__init__(self.file, coils, self.shape, pooled, name)
        if spokes.per_frame is None and len(self.file.measured_at(self.time)) == 1:
            logger.warning(
                "%s: all readouts are in a single frame: give the spokes of a frame with --data.raw_spokes.per_frame",
                one_line(str(path)),
            )

    def __getitem__(self, index: int) -> Sample:
        """Read a series.

        Raises:
            DataError: if its samples cannot be read, are all zero or beyond single precision, are fewer than those of a
                frame or far fewer than its pixels, their positions are not known, or sensitivities cannot be estimated
                since the centre of k-space has gaps; names the file.
            ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
        """
        item = self.items[index]
        readouts = self.file.readouts(**item)
        try:
            positions = torch.from_numpy(self.spokes.trajectory(readouts, self.file.header)).float()
            frames = self.spokes.frames(readouts, self.time)
            self._check_matrix(frames.shape[1] * positions.shape[1])
        except ValueError as error:
            raise DataError(f"{self.file.path}: {error}") from error
        white = self.treatment.whiten(torch.from_numpy(readouts.kspace).movedim(1, 0))
        compression = self.treatment.compression(white)
        kspace = mix_coils(compression, white)
        gridded = map(self._gridded, [kspace], [positions])  # only if sensitivities are to be estimated
        sensitivities, gain = self.treatment.sensitivities(item["slice"], compression, gridded)
        if sensitivities is None:
            sensitivities = torch.ones(1, 1, *self.shape, dtype=torch.complex64)
        series, trajectory = kspace[:, frames].flatten(2), positions[frames].flatten(1, 2)
        sample = trajectory_sample(series, trajectory, sensitivities, self.names[index], "measured")
        times = self.spokes.times(readouts, frames, self.time, self.file.header.repetition_time)
        geometry = trajectory_geometry(self.file, times, **item)
        return sample._replace(scale=sample.scale / gain, geometry=geometry)

    def _check_matrix(self, samples: int) -> None:
        if math.prod(self.shape) > MOST_UNDERSAMPLED * samples:
            raise ValueError(
                f"the reconstructed matrix {self.shape} of the header has more than {MOST_UNDERSAMPLED} times as many "
                f"pixels as a frame has samples, {samples}: correct it, or give more --data.raw_spokes.per_frame"
            )

    def _gridded(self, kspace: Tensor, positions: Tensor) -> Measured:
        """Grid all readouts on their field of view, at most twice that of the image."""
        recon, encoded = self.file.header.recon.field_of_view, self.file.header.encoded.field_of_view[0]
        larger = [min(max(1.0, encoded / view), MOST_OVERSAMPLED) for view in recon[:2]]
        shape = [round(side * ratio) for side, ratio in zip(self.shape, larger, strict=True)]
        stretched = positions.flatten(0, 1) * (torch.tensor(shape) / torch.tensor(self.shape))
        return grid_samples(kspace.flatten(1), stretched, shape)
