"""Geometry of a scan in the patient, and times of its frames."""

import numpy as np
import numpy.typing as npt
import torch

from datamodules.measured.ismrmrd.raw_file import RawFile
from lowrank_unroll.sample import TICK, Geometry


def scan_geometry(file: RawFile, time: str, width: int, **index: int) -> Geometry:
    """Return the geometry of the series at an index of some dimensions.

    The pixel width is the encoded field of view divided by the lines of ky. The field of view of the reconstruction, if
    it is smaller, gives the number of pixels to show. The time of a frame is the mean time after the trigger of its
    readouts; without time stamps, its index times the repetition time of the header; NaN if that has none.

    Args:
        file: the scan.
        time: the dimension of k-space that the frames are along.
        width: of the image, along the phase encoding.
        index: as for :meth:`RawFile.kspace`.
    """
    position, read, phase, across = file.place(**index)
    encoded, recon = file.header.encoded, file.header.recon
    samples = encoded.matrix_size[0]
    spacing = (encoded.field_of_view[0] / samples, encoded.field_of_view[1] / width, recon.field_of_view[2])
    return Geometry(
        torch.tensor(position, dtype=torch.float32),
        torch.tensor([read, phase, across], dtype=torch.float32),
        torch.tensor(spacing, dtype=torch.float32),
        torch.from_numpy(_times(file, time, index)).float(),
        torch.tensor(_shown(width, encoded.field_of_view[1], recon.field_of_view[1])),
    )


def _shown(width: int, encoded: float, recon: float) -> int:
    return min(width, max(1, round(width * recon / encoded))) if 0 < recon < encoded else width


def _times(file: RawFile, time: str, index: dict[str, int]) -> npt.NDArray[np.float64]:
    stamps = file.trigger_stamps(time, **index)
    if stamps is not None:
        return stamps * TICK
    repetition_times = file.header.repetition_times
    interval = repetition_times[0] if repetition_times else np.nan
    return file.measured_at(time, **index).astype(np.float64) * interval
