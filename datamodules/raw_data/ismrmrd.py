"""Cartesian k-space from ISMRMRD files, in which scanners' raw data are published."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from datamodules.raw_data.ismrmrd_header import LONGEST_HEADER, Header, Limit, parse_header
from lowrank_unroll.errors import DataError, first_line

DIMS = ("average", "repetition", "set", "contrast", "slice", "kz", "coil", "phase", "kx", "ky")

# The counters that place a readout in k-space, in the order of DIMS: in the table of readouts and in the header.
COUNTERS = {
    "average": ("average", "average"),
    "repetition": ("repetition", "repetition"),
    "set": ("set", "set"),
    "contrast": ("contrast", "contrast"),
    "slice": ("slice", "slice"),
    "kz": ("kspace_encode_step_2", "kspace_encoding_step_2"),
    "phase": ("phase", "phase"),
    "ky": ("kspace_encode_step_1", "kspace_encoding_step_1"),
}

NOISE = 19
# Flags of readouts that are no line of the image, by their numbers in the ISMRMRD standard.
NO_IMAGE = {
    "noise measurement": NOISE,
    "navigation": 23,
    "phase correction": 24,
    "feedback for heart position": 26,
    "dummy scan": 27,
    "real-time feedback": 28,
    "surface coil correction": 29,
    "phase stabilization reference": 30,
    "phase stabilization": 31,
}
CALIBRATION = 20  # for coil sensitivities alone
REVERSE = 22

PILOT_TONE_FIRST, PILOT_TONE_LAST = 3, 1  # samples of a readout that a pilot tone disturbs
ROWS_AT_ONCE = 64  # whole rows: HDF5 2.0 reads the samples of any part of a row, and leaks what was not asked for
MOST_UNDERSAMPLED = 32  # times as large as its samples may k-space be: beyond, sizes in the header are absurd


class ISMRMRDError(DataError):
    """A file is no ISMRMRD file, or its readouts cannot be assembled; names the file and the reason."""


@dataclass(frozen=True)
class KSpace:
    """Assembled Cartesian k-space.

    Attributes:
        kspace: (average, repetition, set, contrast, slice, kz, coil, phase, kx, ky), that is `DIMS`, complex64, in the
            units of the file; zero where not sampled. At one index of the first six it is (coil, phase, kx, ky), which
            is (coil, time, height, width). A view: in memory each readout is in one piece.
        sampled: as k-space but without coils, boolean.
        header: facts of the scan.
        repeats: number of readouts that a later one at the same place has replaced.
    """

    kspace: npt.NDArray[np.complex64]
    sampled: npt.NDArray[np.bool_]
    header: Header
    repeats: int


class Place(NamedTuple):
    """Where a readout lies: vectors of length 3, x to the left of the patient, y to the back and z to the head.

    Attributes:
        position: of the centre of the field of view, mm.
        read: direction of the readout, of unit length, as those of the phase encoding and across the slice.
        phase: direction of the phase encoding.
        slice: direction across the slice.
    """

    position: tuple[float, ...]
    read: tuple[float, ...]
    phase: tuple[float, ...]
    slice: tuple[float, ...]


class RawFile:
    """A Cartesian scan in an ISMRMRD file, of which k-space is assembled part by part.

    Sizes follow the reader that comes with the OCMR data [1]: kx and kz that of the encoded matrix, ky and the others
    the limit in the header plus one, or the largest counter of any readout plus one if the header gives no limit. There
    are as many coils as active channels. Where the header says that the centre of k-space is not the middle line of ky,
    as for partial Fourier, ky has the size of the encoded matrix, or of what all lines need around the centre.

    An asymmetric echo, which is shorter than the encoded matrix and has its centre in the first half of that, is padded
    with zeros in front. With a pilot tone the first three samples and the last of each readout are zeroed. Noise scans,
    separate calibration and other readouts that are no lines of an image are passed over. Of readouts at the same place
    the last one counts; averages have a dimension of their own, segments do not.

    On some malformed files HDF5 itself hangs (h5py issue 2088) or takes gigabytes; read files from untrusted sources in
    a process with limits of time and memory.

    [1] Chen et al., OCMR (v1.0) - Open-Access Multi-Coil k-Space Dataset for Cardiovascular Magnetic Resonance Imaging,
    arXiv:2008.03410. The format: Inati et al., ISMRM Raw Data Format, Magn. Reson. Med. 77, 2017.

    Args:
        path: an HDF5 file.
        group: in that file, with the datasets `xml` and `data`.

    Attributes:
        header: facts of the scan.
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
            self.header = parse_header(_xml(content["xml"]))
            self._heads = _heads(content["data"], path.stat().st_size)
            self._lines = _lines(self._heads, self.header, path.stat().st_size)
            self.sizes, first_ky = _sizes(self._lines, self.header)
            self._lines.counters["ky"][:] += first_ky
            self._is_sampled = _is_sampled(self._lines, self.header)

    def kspace(self, **index: int) -> KSpace:
        """Assemble the readouts at an index of some dimensions, which then have the size 1; or all.

        Args:
            index: by the dimension, such as ``slice=2``.

        Raises:
            ISMRMRDError: if samples cannot be read, are too few or too many, or hold NaN or infinity.
        """
        lines = self._lines.at(index)
        sizes = {dim: 1 if dim in index else size for dim, size in self.sizes.items()}
        with self._opened() as content:
            kspace = _assembled(content["data"], lines, sizes, self._is_sampled)
        sampled_lines = np.zeros([sizes[dim] for dim in COUNTERS], np.bool_)
        sampled_lines[lines.place()] = True
        repeats = int(len(lines.rows) - sampled_lines.sum())
        return KSpace(kspace, sampled_lines[..., None, :] & self._is_sampled[:, None], self.header, repeats)

    def noise(self) -> npt.NDArray[np.complex64] | None:
        """The samples (coil, sample) of the noise scans, in the units of the file; None if there are none.

        Raises:
            ISMRMRDError: if they cannot be read, hold NaN or infinity, or have other channels than the image.
        """
        rows = np.flatnonzero(self._heads["flags"] & _flags(NOISE))
        if not len(rows):
            return None
        with self._opened() as content:
            channels = _common(self._heads["active_channels"][rows], "channels of noise")
            if channels != self.sizes["coil"]:
                raise ValueError(f"noise was measured with {channels} channels, the image with {self.sizes['coil']}")
            samples = self._heads["number_of_samples"][rows].astype(int)
            readouts = _readouts(content["data"], rows, channels, samples)
            return np.concatenate([readout for block in readouts for readout in block], axis=1)

    def place(self, **index: int) -> Place:
        """Where the readouts at an index of some dimensions lie, by the first of them.

        Directions that are not of unit length, as where a converter left them out, are those of a transverse slice.
        """
        with self._refusing():
            head = self._heads[self._lines.at(index).rows[0]]
            read, phase, across = (head[f"{name}_dir"].astype(float) for name in ("read", "phase", "slice"))
            if not np.allclose([np.linalg.norm(one) for one in (read, phase, across)], 1, atol=1e-3):
                read, phase, across = np.eye(3)
            return Place(*(tuple(map(float, vector)) for vector in (head["position"], read, phase, across)))

    def trigger_stamps(self, dim: str, **index: int) -> npt.NDArray[np.float64] | None:
        """The time stamp after the trigger, averaged over the readouts of each index along a dimension, in ticks.

        None where stamps are missing, or do not differ.
        """
        with self._refusing():
            lines = self._lines.at(index)
            stamps = self._heads["physiology_time_stamp"][lines.rows, 0].astype(float)
            numbers = np.bincount(lines.counters[dim], minlength=self.sizes[dim])
            if not numbers.all() or np.ptp(stamps) == 0:
                return None
            means: npt.NDArray[np.float64] = np.bincount(lines.counters[dim], stamps) / numbers
            return means

    def indices(self, dims: Sequence[str]) -> list[dict[str, int]]:
        """The indices of some dimensions at which there are readouts, in ascending order."""
        found = np.unique(np.stack([self._lines.counters[dim] for dim in dims], axis=1), axis=0)
        return [dict(zip(dims, map(int, index), strict=True)) for index in found]

    @contextmanager
    def _opened(self) -> Iterator[h5py.Group]:
        with self._refusing(), h5py.File(self.path, "r") as file:
            yield file[self.group]

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # HDF5, NumPy and the XML parser raise errors of many unrelated classes
            raise ISMRMRDError(f"{self.path}: cannot be read as Cartesian k-space: {first_line(error)}") from error


class _Lines(NamedTuple):
    """Readouts that are lines of an image."""

    rows: npt.NDArray[np.intp]  # of the table
    counters: Mapping[str, npt.NDArray[np.intp]]  # of each, by the dimension of k-space
    channels: int
    samples: int
    centers: npt.NDArray[np.intp]  # the sample of each at the centre of k-space

    def place(self, start: int = 0, end: int | None = None) -> tuple[npt.NDArray[np.intp], ...]:
        return tuple(counter[start:end] for counter in self.counters.values())

    def at(self, index: Mapping[str, int]) -> "_Lines":
        """Those at an index of some dimensions, which then is zero."""
        here = np.logical_and.reduce([self.counters[dim] == number for dim, number in index.items()], axis=0)
        here = np.broadcast_to(here, self.rows.shape)
        counters = {dim: counter[here] * (dim not in index) for dim, counter in self.counters.items()}
        return self._replace(rows=self.rows[here], counters=counters, centers=self.centers[here])


def read_ismrmrd(path: Path, group: str = "dataset") -> KSpace:
    """Assemble all readouts of a Cartesian scan at once; arguments and errors are those of :class:`RawFile`."""
    return RawFile(path, group).kspace()


def is_ismrmrd(path: Path, group: str = "dataset") -> bool:
    """Whether a file has what every ISMRMRD file has."""
    try:
        with h5py.File(path, "r") as file:
            return group in file and {"xml", "data"} <= set(file[group])
    except Exception:  # HDF5 raises errors of many unrelated classes  # noqa: BLE001
        return False


def _assembled(
    table: h5py.Dataset, lines: _Lines, sizes: Mapping[str, int], is_sampled: npt.NDArray[np.bool_]
) -> npt.NDArray[np.complex64]:
    order = (*COUNTERS, "coil", "kx")  # whole readouts side by side: an order of magnitude faster to fill
    kspace = np.zeros([sizes[dim] for dim in order], np.complex64)
    measured = kspace[..., -lines.samples :]
    end = 0
    for block in _readouts(table, lines.rows, lines.channels, np.full(len(lines.rows), lines.samples)):
        start, end = end, end + len(block)
        values = np.stack(block)
        values[..., ~is_sampled[-lines.samples :]] = 0
        measured[lines.place(start, end)] = values
    return kspace.transpose([order.index(dim) for dim in DIMS])


def _xml(dataset: h5py.Dataset) -> bytes:
    if dataset.size != 1 or dataset.dtype.itemsize > LONGEST_HEADER:
        raise ValueError(f"xml has shape {dataset.shape} and type {dataset.dtype}, expected one header")
    header = np.asarray(dataset[()]).item()
    return header.encode() if isinstance(header, str) else bytes(header)


def _heads(table: h5py.Dataset, file_size: int) -> npt.NDArray[Any]:
    """What the table tells of each readout besides its samples."""
    if table.ndim != 1 or not {"head", "data"} <= set(table.dtype.names or ()):
        raise ValueError(f"data has shape {table.shape} and type {table.dtype}, expected a table with head and data")
    samples = h5py.check_vlen_dtype(table.dtype["data"])
    if samples != np.dtype("<f4"):  # h5py 3.16 does not swap the bytes within arrays of variable length
        raise ValueError(f"the readouts are of type {samples or table.dtype['data']}, expected little-endian float32")
    if len(table) * table.dtype.itemsize > file_size:
        raise ValueError(f"the table promises {len(table)} readouts, more than {file_size} bytes can hold")
    heads = np.empty(len(table), table.dtype["head"])
    for start in range(0, len(table), ROWS_AT_ONCE):
        heads[start : start + ROWS_AT_ONCE] = table[start : start + ROWS_AT_ONCE]["head"]
    return heads


def _lines(heads: npt.NDArray[Any], header: Header, file_size: int) -> _Lines:
    no_image = list(NO_IMAGE.values()) if header.calibration_is_embedded else [*NO_IMAGE.values(), CALIBRATION]
    is_line = heads["flags"] & _flags(*no_image) == 0
    if not is_line.any():
        raise ValueError(f"none of {len(heads)} readouts is a line of an image")
    if (heads["flags"][is_line] & _flags(REVERSE)).any():
        raise ValueError("some readouts are reversed, as in echo-planar imaging")
    if heads["encoding_space_ref"][is_line].any():
        raise ValueError("some readouts belong to another encoding than the first")
    counters = {dim: _integers(heads["idx"][name][is_line]) for dim, (name, _) in COUNTERS.items()}
    channels = _common(heads["active_channels"][is_line], "channels")
    samples = _common(heads["number_of_samples"][is_line], "samples")
    number = int(is_line.sum())
    if number * channels * samples * 8 > file_size:
        raise ValueError(
            f"{number} readouts of {channels} channels and {samples} samples are more than {file_size} bytes can hold"
        )
    rows = np.flatnonzero(is_line)
    return _Lines(rows, counters, channels, samples, _integers(heads["center_sample"][is_line]))


def _flags(*numbers: int) -> np.uint64:
    return np.uint64(sum(1 << (number - 1) for number in numbers))


def _integers(column: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    return column.astype(np.intp, casting="safe")


def _common(column: npt.NDArray[Any], what: str) -> int:
    least, most = int(_integers(column).min()), int(column.max())
    if least != most or least < 1:
        raise ValueError(f"readouts have {least} to {most} {what}, expected the same positive number in all")
    return least


def _is_sampled(lines: _Lines, header: Header) -> npt.NDArray[np.bool_]:
    """Which samples of the encoded readout (kx,) are measured, and not disturbed by a pilot tone."""
    encoded = header.encoded.matrix_size[0]
    padding = encoded - lines.samples
    if padding < 0:
        raise ValueError(f"readouts have {lines.samples} samples, but the encoded matrix {encoded}")
    if padding and (2 * lines.centers >= encoded).any():
        raise ValueError(
            f"readouts have {lines.samples} of {encoded} samples, and their centre at {lines.centers.max()}, which is "
            f"no asymmetric echo"
        )
    kx = np.arange(encoded)
    if not header.pilot_tone:
        return kx >= padding
    return (kx >= padding + PILOT_TONE_FIRST) & (kx < encoded - PILOT_TONE_LAST)


def _sizes(lines: _Lines, header: Header) -> tuple[dict[str, int], int]:
    """The size of each dimension, and the place of the first line of ky."""
    kx, encoded_ky, kz = header.encoded.matrix_size
    sizes = {"coil": lines.channels, "kx": kx}
    for dim, (_, limit) in COUNTERS.items():
        largest = int(lines.counters[dim].max())
        size = header.limits[limit].maximum + 1 if limit in header.limits else largest + 1
        sizes[dim] = kz if dim == "kz" else size
        if largest >= sizes[dim] or lines.counters[dim].min() < 0:
            raise ValueError(f"{dim} of some readout is {largest}, beyond the {sizes[dim]} of the header")
    sizes["ky"], first_ky = _around_centre(sizes["ky"], header.limits.get(COUNTERS["ky"][1]), encoded_ky)
    acquired = len(lines.rows) * lines.channels * lines.samples
    if math.prod(sizes.values()) > MOST_UNDERSAMPLED * acquired:
        raise ValueError(f"k-space of {sizes} is more than {MOST_UNDERSAMPLED} times as large as the samples")
    return sizes, first_ky


def _around_centre(lines: int, limit: Limit | None, encoded: int) -> tuple[int, int]:
    """The size of ky whose centre is that of k-space, and where its first line lies."""
    # Converters that do not know the centre leave it at zero.
    if limit is None or limit.center in {0, lines // 2}:
        return lines, 0
    if not 0 < limit.center < lines:
        raise ValueError(f"the centre of ky is line {limit.center} of {lines} in the header")
    size = max(encoded, 2 * limit.center, 2 * (lines - limit.center) - 1)
    return size, size // 2 - limit.center


def _readouts(
    table: h5py.Dataset, rows: npt.NDArray[np.intp], channels: int, samples: npt.NDArray[np.int_]
) -> Iterator[list[npt.NDArray[np.complex64]]]:
    """The samples (coil, sample) of some rows of the table, which ascend, block after block."""
    ends = np.append(np.flatnonzero(np.diff(rows // ROWS_AT_ONCE)) + 1, len(rows))
    for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        first = rows[start] // ROWS_AT_ONCE * ROWS_AT_ONCE
        block = table[first : first + ROWS_AT_ONCE]["data"][rows[start:end] - first]
        for readout, length in zip(block, 2 * channels * samples[start:end], strict=True):
            if len(readout) != length:
                raise ValueError(f"a readout has {len(readout)} numbers, expected {length}")
        if not all(np.isfinite(readout).all() for readout in block):
            raise ValueError(f"NaN or infinity in readouts {rows[start]} to {rows[end - 1]}")
        yield [readout.view(np.complex64).reshape(channels, -1) for readout in block]
