"""Where a scan lies in the patient, and when its frames were measured."""

import numpy as np
import numpy.typing as npt
import torch

from datamodules.raw_data.ismrmrd import RawFile
from lowrank_unroll.sample import TICK, Geometry


def scan_geometry(file: RawFile, time: str, width: int, **index: int) -> Geometry:
    """The geometry of the series at an index of some dimensions.

    Pixels are as wide as the encoded field of view divided by the lines of ky; those are shown that the field of view
    to be reconstructed has room for, where it is the smaller. The times are those after the trigger of
    each measured frame's readouts, on average, where a time stamp tells; else the repetition times of the header, from
    zero; and unknown where that has none.

    Args:
        file: the scan.
        time: the dimension of k-space along which the frames are.
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
