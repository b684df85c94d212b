"""Reading Cartesian k-space from ISMRMRD files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.calibration import Calibration, assemble_calibration, find_calibration
from datamodules.measured.ismrmrd.header import Header, parse_header
from datamodules.measured.ismrmrd.lines import (
    ALWAYS_NAMED,
    COUNTERS,
    DIMS,
    NOISE,
    SERIES_DIMS,
    Lines,
    check_readouts,
    common_number,
    find_lines,
    flags_of,
    integers,
    sizes_of,
)
from datamodules.measured.ismrmrd.table import read_header, read_heads, read_samples
from lowrank_unroll.errors import DataError, first_line


class ISMRMRDError(DataError):
    """The error of a file that is no ISMRMRD file, or whose readouts cannot be assembled; names file and reason."""


@dataclass(frozen=True)
class KSpace:
    """Assembled Cartesian k-space.

    Attributes:
        kspace: (average, repetition, set, contrast, slice, kz, coil, phase, kx, ky), that is `DIMS`, complex64, in the
            units of the file; zero where not sampled. At one index of the first six it is (coil, phase, kx, ky), which
            is (coil, time, height, width). It is a view: in memory, readouts are contiguous.
        sampled: as k-space but without coils, boolean.
        header: of the file.
        repeats: number of readouts that a later one at the same position has replaced.
    """

    kspace: npt.NDArray[np.complex64]
    sampled: npt.NDArray[np.bool_]
    header: Header
    repeats: int


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


class RawFile:
    """A Cartesian scan in an ISMRMRD file, whose k-space is assembled part by part.

    Sizes follow the reader that comes with the OCMR data [1]: those of kx and kz are the encoded matrix; those of ky
    and the others are the limit in the header plus one, or without a limit the largest counter plus one; that of the
    coils is the number of active channels. If the header says that the centre of k-space is not the middle line of ky,
    as in partial Fourier, ky has the size of the encoded matrix, or of what all lines need around the centre.

    An asymmetric echo, which is shorter than the encoded matrix and has its centre in the first half of that, is padded
    with zeros in front. Samples that a readout's head marks for discarding are zeroed and count as not sampled; with a
    pilot tone also at least the first three and the last of each readout. Noise scans, separate calibration and other
    readouts that are not lines of the image are not part of k-space. Of several readouts at the same position the last
    one counts; averages have a dimension of their own, segments do not.

    On some malformed files HDF5 itself hangs (h5py issue 2088) or takes gigabytes; read files from untrusted sources in
    a process with limits of time and memory.

    [1] Chen et al., OCMR (v1.0) - Open-Access Multi-Coil k-Space Dataset for Cardiovascular Magnetic Resonance Imaging,
    arXiv:2008.03410. The format: Inati et al., ISMRM Raw Data Format, Magn. Reson. Med. 77, 2017.

    Args:
        path: an HDF5 file.
        group: the group in that file with the datasets `xml` and `data`.

    Attributes:
        header: of the file.
        sizes: of k-space, by `DIMS`.

    Raises:
        FileNotFoundError: if there is no such file.
        ISMRMRDError: if the file cannot be read, or its readouts cannot be assembled: for instance if they have several
            encodings, unequal lengths, another trajectory, reversed readouts, counters beyond the limits, or if
            k-space would be more than 32 times as large as its samples.
    """

    def __init__(self, path: Path, group: str = "dataset") -> None:
        if not path.is_file():
            raise FileNotFoundError(f"there is no file {path.absolute()}")
        self.path, self.group = path, group
        with self._opened() as content:
            self.header = parse_header(read_header(content["xml"]))
            self._heads = read_heads(content["data"], path.stat().st_size)
            self._lines = find_lines(self._heads, self.header, path.stat().st_size)
            self.sizes, first_ky = sizes_of(self._lines, self.header)
            self._calibration = find_calibration(self._heads, self.header, self.sizes, first_ky, path.stat().st_size)
            self._lines.counters["ky"][:] += first_ky
            check_readouts(self._lines, self.header)

    def kspace(self, **index: int) -> KSpace:
        """Assemble the readouts at an index of some dimensions, which then have the size 1; without an index, all.

        Args:
            index: by the dimension, such as ``slice=2``.

        Raises:
            ISMRMRDError: if samples cannot be read, are too few or too many, or hold NaN or infinity.
        """
        lines = self._lines.select(index)
        sizes = {dim: 1 if dim in index else size for dim, size in self.sizes.items()}
        with self._opened() as content:
            kspace = _assembled(content["data"], lines, sizes)
        sampled = np.zeros([sizes[dim] for dim in (*COUNTERS, "kx")], np.bool_)
        sampled[..., -lines.samples :][lines.kspace_index()] = lines.measured
        repeats = len(lines.rows) - len(np.unique(np.stack(lines.kspace_index()), axis=1).T)
        return KSpace(kspace, sampled.swapaxes(-1, -2), self.header, repeats)

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

    def calibration(self, number: int) -> Calibration | None:
        """Return the separate calibration of the coils of a slice; None if there is none that fits the image.

        Raises:
            ISMRMRDError: if samples cannot be read, are too few or too many, or hold NaN or infinity.
        """
        lines = None if self._calibration is None else self._calibration.select({"slice": number})
        if lines is None or not len(lines.rows):
            return None
        with self._opened() as content:
            samples = np.full(len(lines.rows), lines.samples)
            readouts = read_samples(content["data"], lines.rows, lines.channels, samples)
            return assemble_calibration(readouts, lines, self.sizes)

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

    @contextmanager
    def _naming_errors(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # HDF5, NumPy and the XML parser raise errors of many unrelated classes
            raise ISMRMRDError(f"{self.path}: cannot be read as Cartesian k-space: {first_line(error)}") from error


def read_ismrmrd(path: Path, group: str = "dataset") -> KSpace:
    """Assemble all readouts of a Cartesian scan at once; arguments and errors are those of :class:`RawFile`."""
    return RawFile(path, group).kspace()


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


def _assembled(table: h5py.Dataset, lines: Lines, sizes: Mapping[str, int]) -> npt.NDArray[np.complex64]:
    order = (*COUNTERS, "coil", "kx")  # contiguous readouts are filled ten times faster
    kspace = np.zeros([sizes[dim] for dim in order], np.complex64)
    readouts = kspace[..., -lines.samples :]
    end = 0
    for block in read_samples(table, lines.rows, lines.channels, np.full(len(lines.rows), lines.samples)):
        start, end = end, end + len(block)
        readouts[lines.kspace_index(start, end)] = np.stack(block) * lines.measured[start:end, None]
    return kspace.transpose([order.index(dim) for dim in DIMS])
