"""Cartesian k-space from ISMRMRD files, in which scanners' raw data are published."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import numpy.typing as npt

from datamodules.scanners.ismrmrd_header import LONGEST_HEADER, Header, parse_header
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

# Flags of readouts that are no line of the image, by their numbers in the ISMRMRD standard.
NO_IMAGE = {
    "noise measurement": 19,
    "navigation": 23,
    "phase correction": 24,
    "feedback for heart position": 26,
    "dummy scan": 27,
    "real-time feedback": 28,
    "surface coil correction": 29,
    "phase stabilization reference": 30,
    "phase stabilization": 31,
}
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


def read_ismrmrd(path: Path, group: str = "dataset") -> KSpace:
    """Assemble the readouts of a Cartesian scan.

    Sizes follow the reader that comes with the OCMR data [1]: kx and kz that of the encoded matrix, ky and the others
    the limit in the header plus one, or the largest counter of any readout plus one if the header gives no limit. There
    are as many coils as active channels.

    An asymmetric echo, which is shorter than the encoded matrix and has its centre in the first half of that, is padded
    with zeros in front. With a pilot tone the first three samples and the last of each readout are zeroed. Noise scans
    and other readouts that are no lines of an image are passed over. Of readouts at the same place the last one counts;
    averages have a dimension of their own, segments do not.

    On some malformed files HDF5 itself hangs (h5py issue 2088) or takes gigabytes; read files from untrusted sources in
    a process with limits of time and memory.

    [1] Chen et al., OCMR (v1.0) - Open-Access Multi-Coil k-Space Dataset for Cardiovascular Magnetic Resonance Imaging,
    arXiv:2008.03410. The format: Inati et al., ISMRM Raw Data Format, Magn. Reson. Med. 77, 2017.

    Args:
        path: an HDF5 file.
        group: in that file, with the datasets `xml` and `data`.

    Raises:
        FileNotFoundError: if there is no such file.
        ISMRMRDError: if the file cannot be read, or its readouts cannot be assembled: for instance if they have several
            encodings, unequal lengths, another trajectory, reversed readouts, counters beyond the limits, NaN or
            infinity, or if k-space would be more than 32 times as large as its samples.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.absolute()}")
    try:
        with h5py.File(path, "r") as file:
            return _read(file[group], path.stat().st_size)
    except Exception as error:  # HDF5, NumPy and the XML parser raise errors of many unrelated classes
        raise ISMRMRDError(f"{path}: cannot be read as Cartesian k-space: {first_line(error)}") from error


class _Lines(NamedTuple):
    """Readouts that are lines of an image."""

    of_table: npt.NDArray[np.bool_]  # which rows of the table they are
    counters: Mapping[str, npt.NDArray[np.intp]]  # of each, by the dimension of k-space
    channels: int
    samples: int
    centers: npt.NDArray[np.intp]  # the sample of each at the centre of k-space

    def place(self, start: int = 0, end: int | None = None) -> tuple[npt.NDArray[np.intp], ...]:
        return tuple(counter[start:end] for counter in self.counters.values())


def _read(group: h5py.Group, file_size: int) -> KSpace:
    header = parse_header(_xml(group["xml"]))
    lines = _lines(_heads(group["data"], file_size), file_size)
    sizes = _sizes(lines, header)
    is_sampled = _is_sampled(lines, header)
    kspace = _assembled(group["data"], lines, sizes, is_sampled)
    sampled_lines = np.zeros([sizes[dim] for dim in COUNTERS], np.bool_)
    sampled_lines[lines.place()] = True
    repeats = int(lines.of_table.sum() - sampled_lines.sum())
    return KSpace(kspace, sampled_lines[..., None, :] & is_sampled[:, None], header, repeats)


def _assembled(
    table: h5py.Dataset, lines: _Lines, sizes: Mapping[str, int], is_sampled: npt.NDArray[np.bool_]
) -> npt.NDArray[np.complex64]:
    order = (*COUNTERS, "coil", "kx")  # whole readouts side by side: an order of magnitude faster to fill
    kspace = np.zeros([sizes[dim] for dim in order], np.complex64)
    measured = kspace[..., -lines.samples :]
    end = 0
    for block in _blocks(table, lines):
        start, end = end, end + len(block)
        block[..., ~is_sampled[-lines.samples :]] = 0
        measured[lines.place(start, end)] = block
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


def _lines(heads: npt.NDArray[Any], file_size: int) -> _Lines:
    is_line = heads["flags"] & _flags(*NO_IMAGE.values()) == 0
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
    return _Lines(is_line, counters, channels, samples, _integers(heads["center_sample"][is_line]))


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


def _sizes(lines: _Lines, header: Header) -> dict[str, int]:
    kx, _, kz = header.encoded.matrix_size
    sizes = {"coil": lines.channels, "kx": kx}
    for dim, (_, limit) in COUNTERS.items():
        largest = int(lines.counters[dim].max())
        size = header.limits[limit].maximum + 1 if limit in header.limits else largest + 1
        sizes[dim] = kz if dim == "kz" else size
        if largest >= sizes[dim] or lines.counters[dim].min() < 0:
            raise ValueError(f"{dim} of some readout is {largest}, beyond the {sizes[dim]} of the header")
    acquired = int(lines.of_table.sum()) * lines.channels * lines.samples
    if math.prod(sizes.values()) > MOST_UNDERSAMPLED * acquired:
        raise ValueError(f"k-space of {sizes} is more than {MOST_UNDERSAMPLED} times as large as the samples")
    return sizes


def _blocks(table: h5py.Dataset, lines: _Lines) -> Iterator[npt.NDArray[np.complex64]]:
    """Read the samples (readout, coil, kx) of all lines, block after block."""
    length = 2 * lines.channels * lines.samples
    for start in range(0, len(table), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        readouts = table[rows]["data"][lines.of_table[rows]]
        lengths = np.fromiter(map(len, readouts), int)
        if (lengths != length).any():
            raise ValueError(f"a readout has {lengths[lengths != length][0]} numbers, expected {length}")
        if not len(readouts):
            continue
        samples = np.concatenate(readouts, dtype=np.float32)
        if not np.isfinite(samples).all():
            raise ValueError(f"NaN or infinity in readouts {start} to {start + ROWS_AT_ONCE - 1}")
        yield samples.view(np.complex64).reshape(-1, lines.channels, lines.samples)
