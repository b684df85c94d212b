"""Reading readouts along trajectories, such as radial spokes and spirals, from ISMRMRD files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.header import CARTESIAN
from datamodules.measured.ismrmrd.lines import COUNTERS, SERIES_DIMS, counter_sizes, integers
from datamodules.measured.ismrmrd.scan_file import ScanFile
from datamodules.measured.ismrmrd.table import read_samples, read_trajectories

PLANE, SPACE = 2, 3  # dims of trajectories


class Readouts(NamedTuple):
    """Readouts in the order in which they were measured.

    Attributes:
        kspace: (readout, coil, sample), complex64, in the units of the file, without the samples that any of them
            discards.
        stored: the trajectory as the file has it, along the read and the phase direction, (readout, sample, 2),
            float32; None if it has none.
        positions: index of each sample counted from that at the centre of k-space, (readout, sample).
        counters: of each readout, by the dim.
        trigger: time stamp after the trigger of the heart, (readout,), in ticks.
        clock: time stamp of the acquisition, (readout,), in ticks.
    """

    kspace: npt.NDArray[np.complex64]
    stored: npt.NDArray[np.float32] | None
    positions: npt.NDArray[np.intp]
    counters: Mapping[str, npt.NDArray[np.intp]]
    trigger: npt.NDArray[np.float64]
    clock: npt.NDArray[np.float64]


class TrajectoryFile(ScanFile):
    """A scan along a trajectory in an ISMRMRD file.

    The counter of phase encoding steps, which numbers spokes and interleaves, is ignored. Samples that a readout's head
    marks for discarding are left out of all readouts.

    Args:
        path: an HDF5 file.
        group: the group in that file with the datasets `xml` and `data`.

    Attributes:
        header: of the file.
        sizes: of the dims that counters number, by their names, and of the coils.

    Raises:
        FileNotFoundError: if there is no such file.
        ISMRMRDError: if the file cannot be read, or its readouts do not fit together: for instance if they have several
            encodings, unequal lengths, a Cartesian trajectory, counters beyond the limits, or no common sample.
    """

    kind = "readouts along a trajectory"

    def __init__(self, path: Path, group: str = "dataset") -> None:
        super().__init__(path, group)
        with self._naming_errors():
            if self.header.trajectory == CARTESIAN:
                raise ValueError("the trajectory is 'cartesian', expected another one")
            self.sizes = {
                "coil": self._lines.channels,
                **counter_sizes(self._lines, self.header, set(COUNTERS) - {"ky"}),
            }
            self._kept = self._lines.measured.all(0)
            if not self._kept.any():
                raise ValueError("no sample is kept by all readouts: some discard the samples that others keep")
            self.dims = _common_dims(integers(self._heads["trajectory_dimensions"][self._lines.rows]))

    def parts(self) -> Iterator[object]:
        """Read everything but the noise, series by series."""
        for index in self.indices(SERIES_DIMS):
            yield self.readouts(**index)

    def readouts(self, **index: int) -> Readouts:
        """Read the readouts at an index of some dims.

        Args:
            index: by the dim, such as ``slice=2``.

        Raises:
            ISMRMRDError: if samples or positions cannot be read, are too few or too many, hold NaN or infinity, or the
                trajectory is one in space.
        """
        lines = self._lines.select(index)
        rows, samples = lines.rows, np.full(len(lines.rows), lines.samples)
        with self._opened() as content:
            blocks = read_samples(content["data"], rows, lines.channels, samples)
            kspace = np.stack([readout for block in blocks for readout in block])
            stored = read_trajectories(content["data"], rows, self.dims, lines.samples) if self.dims else None
            if stored is not None and stored[..., PLANE:].any():
                raise ValueError(
                    "the third dim of the trajectory is not zero, as of a volume: store two dims, and the slices of a "
                    "stack after a Fourier transform across them"
                )
            heads = self._heads[rows]
            return Readouts(
                kspace[..., self._kept],
                None if stored is None else stored[:, self._kept, :PLANE],
                (np.arange(lines.samples) - lines.centers[:, None])[:, self._kept],
                lines.counters,
                heads["physiology_time_stamp"][:, 0].astype(float),
                heads["acquisition_time_stamp"].astype(float),
            )


def _common_dims(dims: npt.NDArray[np.intp]) -> int:
    least, most = int(dims.min()), int(dims.max())
    if least != most or most not in {0, PLANE, SPACE}:
        raise ValueError(f"trajectories have {least} to {most} dims, expected {PLANE} in all readouts, or none in all")
    return most
