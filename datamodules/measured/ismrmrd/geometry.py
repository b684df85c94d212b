"""Geometry of a scan in the patient, and times of its frames."""

import numpy as np
import numpy.typing as npt
import torch

from datamodules.measured.ismrmrd.scan_file import ScanFile
from lowrank_unroll.sample import TICK, Geometry


def scan_geometry(file: ScanFile, time: str, width: int, **index: int) -> Geometry:
    """Return the geometry of the series of a Cartesian scan at an index of some dimensions.

    The pixel width is the encoded field of view divided by the lines of ky. The field of view of the reconstruction, if
    it is smaller, gives the number of pixels to show. The time of a frame is the mean time after the trigger of its
    readouts; without time stamps, its index times the repetition time of the header; NaN if that has none.

    Args:
        file: the scan.
        time: the dimension of k-space that the frames are along.
        width: of the image, along the phase encoding.
        index: as for :meth:`RawFile.kspace`.
    """
    encoded, recon = file.header.encoded, file.header.recon
    samples = encoded.matrix_size[0]
    spacing = (encoded.field_of_view[0] / samples, encoded.field_of_view[1] / width, recon.field_of_view[2])
    shown = _shown(width, encoded.field_of_view[1], recon.field_of_view[1])
    return _geometry(file, spacing, _times(file, time, index), shown, index)


def trajectory_geometry(file: ScanFile, times: npt.NDArray[np.float64], **index: int) -> Geometry:
    """Return the geometry of a series along a trajectory, whose pixels are those of the reconstructed matrix.

    Args:
        file: the scan.
        times: of the frames, ms.
        index: of some dimensions, as for :meth:`TrajectoryFile.readouts`.
    """
    recon = file.header.recon
    sides = zip(recon.field_of_view, (*recon.matrix_size[:2], 1), strict=True)
    return _geometry(file, tuple(view / pixels for view, pixels in sides), times, recon.matrix_size[1], index)


def _geometry(
    file: ScanFile, spacing: tuple[float, ...], times: npt.NDArray[np.float64], shown: int, index: dict[str, int]
) -> Geometry:
    position, read, phase, across = file.place(**index)
    return Geometry(
        torch.tensor(position, dtype=torch.float32),
        torch.tensor([read, phase, across], dtype=torch.float32),
        torch.tensor(spacing, dtype=torch.float32),
        torch.from_numpy(times).float(),
        torch.tensor(shown),
    )


def _shown(width: int, encoded: float, recon: float) -> int:
    return min(width, max(1, round(width * recon / encoded))) if 0 < recon < encoded else width


def _times(file: ScanFile, time: str, index: dict[str, int]) -> npt.NDArray[np.float64]:
    stamps = file.trigger_stamps(time, **index)
    if stamps is not None:
        return stamps * TICK
    return file.measured_at(time, **index).astype(np.float64) * file.header.repetition_time
