"""Base of the readers of ISMRMRD files: header, heads of the readouts, and noise."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.header import CARTESIAN, parse_header
from datamodules.measured.ismrmrd.lines import (
    ALWAYS_NAMED,
    NOISE,
    SERIES_DIMS,
    common_number,
    find_lines,
    flags_of,
    integers,
)
from datamodules.measured.ismrmrd.table import read_header, read_heads, read_samples
from lowrank_unroll.errors import DataError, first_line


class ISMRMRDError(DataError):
    """The error of a file that is no ISMRMRD file, or whose readouts cannot be assembled; names file and reason."""


class Place(NamedTuple):
    """Position and orientation of a readout: (x, y, z), x to the left of the patient, y to the back, z to the head.

    Attributes:
        position: of the centre of the field of view, mm.
        read: unit vector along the readout.
        phase: unit vector along the phase encoding.
        slice: unit vector across the slice.
    """

    position: tuple[float, ...]
    read: tuple[float, ...]
    phase: tuple[float, ...]
    slice: tuple[float, ...]


class ScanFile(ABC):
    """The readouts of an image in an ISMRMRD file.

    Args:
        path: an HDF5 file.
        group: the group in that file with the datasets `xml` and `data`.

    Attributes:
        header: of the file.
        sizes: of the dims of the series, by their names.
        kind: of the measurement, for errors.

    Raises:
        FileNotFoundError: if there is no such file.
        ISMRMRDError: if the file cannot be read.
    """

    kind: ClassVar[str]
    sizes: dict[str, int]

    def __init__(self, path: Path, group: str = "dataset") -> None:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path.absolute()}")
        self.path, self.group = path, group
        with self._opened() as content:
            self.header = parse_header(read_header(content["xml"]))
            self._heads = read_heads(content["data"], path.stat().st_size)
            self._lines = find_lines(self._heads, self.header, path.stat().st_size)

    @abstractmethod
    def parts(self) -> Iterator[object]:
        """Read everything but the noise, part by part.

        Raises:
            ISMRMRDError: if a part cannot be read.
        """

    def noise(self) -> npt.NDArray[np.complex64] | None:
        """Return the samples (coil, sample) of the noise scans, in the units of the file; None if there are none.

        Raises:
            ISMRMRDError: if they cannot be read, hold NaN or infinity, or have other channels than the image.
        """
        rows = np.flatnonzero(self._heads["flags"] & flags_of(NOISE))
        if not len(rows):
            return None
        with self._opened() as content:
            channels = common_number(self._heads["active_channels"][rows], "channels of noise")
            if channels != self.sizes["coil"]:
                raise ValueError(f"noise was measured with {channels} channels, the image with {self.sizes['coil']}")
            heads = self._heads[rows]
            samples, before, after = (
                integers(heads[name]) for name in ("number_of_samples", "discard_pre", "discard_post")
            )
            readouts = read_samples(content["data"], rows, channels, samples)
            ends = np.maximum(samples - after, before)
            cuts = map(slice, before.tolist(), ends.tolist())
            return np.concatenate([readout[:, next(cuts)] for block in readouts for readout in block], axis=1)

    def place(self, **index: int) -> Place:
        """Return the position and orientation of the first readout at an index of some dimensions.

        Directions that are not of unit length, since a converter left them out, become those of a transverse slice.
        """
        with self._naming_errors():
            head = self._heads[self._lines.select(index).rows[0]]
            read, phase, across = (head[f"{name}_dir"].astype(float) for name in ("read", "phase", "slice"))
            if not np.allclose([np.linalg.norm(one) for one in (read, phase, across)], 1, atol=1e-3):
                read, phase, across = np.eye(3)
            return Place(*(tuple(map(float, vector)) for vector in (head["position"], read, phase, across)))

    def trigger_stamps(self, dim: str, **index: int) -> npt.NDArray[np.float64] | None:
        """Return the mean time stamp after the trigger at each measured index of a dimension, in ticks.

        None if all stamps are the same; for the indices, see :meth:`measured_at`.
        """
        with self._naming_errors():
            lines = self._lines.select(index)
            stamps = self._heads["physiology_time_stamp"][lines.rows, 0].astype(float)
            if np.ptp(stamps) == 0:
                return None
            measured = self.measured_at(dim, **index)
            sums, numbers = np.bincount(lines.counters[dim], stamps), np.bincount(lines.counters[dim])
            means: npt.NDArray[np.float64] = sums[measured] / numbers[measured]
            return means

    def measured_at(self, dim: str, **index: int) -> npt.NDArray[np.intp]:
        """Return the indices along a dimension that have measured samples, in ascending order."""
        lines = self._lines.select(index)
        return np.unique(lines.counters[dim][lines.measured.any(1)])

    def indices(self, dims: Sequence[str]) -> list[dict[str, int]]:
        """Return the indices of some dimensions that have measured samples, in ascending order."""
        measured = self._lines.measured.any(1)
        found = np.unique(np.stack([self._lines.counters[dim][measured] for dim in dims], axis=1), axis=0)
        return [dict(zip(dims, map(int, index), strict=True)) for index in found]

    def name_of(self, index: Mapping[str, int]) -> str:
        """Return a name of an index: its slice, its average, and the dimensions of which there are several."""
        named = [dim for dim in (*SERIES_DIMS, "kz") if dim in index and (dim in ALWAYS_NAMED or self.sizes[dim] > 1)]
        return "_".join(f"{dim}{index[dim]}" for dim in named)

    @contextmanager
    def _opened(self) -> Iterator[h5py.Group]:
        with self._naming_errors(), h5py.File(self.path, "r") as file:
            yield file[self.group]

    def _naming_errors(self) -> AbstractContextManager[None]:
        return _naming_errors(self.path, self.kind)


def is_cartesian(path: Path, group: str = "dataset") -> bool:
    """Return whether the header of an ISMRMRD file says that k-space was measured on a Cartesian grid.

    Raises:
        ISMRMRDError: if it cannot be read; names the file.
    """
    with _naming_errors(path, "raw data"), h5py.File(path, "r") as file:
        return parse_header(read_header(file[group]["xml"])).trajectory == CARTESIAN


def is_ismrmrd(path: Path, group: str = "dataset") -> bool:
    """Return whether a file has the datasets of an ISMRMRD file.

    Raises:
        ISMRMRDError: if the system denies access, for instance since another program writes the file; names it.
    """
    try:
        with h5py.File(path, "r") as file:
            return group in file and {"xml", "data"} <= set(file[group])
    except BlockingIOError as error:
        raise ISMRMRDError(
            f"{path}: is locked by another program, which may be writing it: try again when that has ended"
        ) from error
    except PermissionError as error:
        raise ISMRMRDError(f"{path}: cannot be read: permission denied") from error
    except Exception:  # HDF5 raises errors of many unrelated classes  # noqa: BLE001
        return False


@contextmanager
def _naming_errors(path: Path, kind: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # HDF5, NumPy and the XML parser raise errors of many unrelated classes
        raise ISMRMRDError(f"{path}: cannot be read as {kind}: {first_line(error)}") from error
