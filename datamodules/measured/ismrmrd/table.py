"""Reading the XML and the table of readouts of an ISMRMRD file."""

from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.header import LONGEST_HEADER

# Whole rows are read, since HDF5 2.0 reads the samples even for a part of a row, and leaks the rest. They are few,
# since rows of a malicious file may share one array as large as the file.
ROWS_AT_ONCE = 16


def read_header(dataset: h5py.Dataset) -> bytes:
    """Return the XML of a file.

    Raises:
        ValueError: if there is not exactly one header, or it is too long.
    """
    if dataset.size != 1 or dataset.dtype.itemsize > LONGEST_HEADER:
        raise ValueError(f"xml has shape {dataset.shape} and type {dataset.dtype}, expected one header")
    header = np.asarray(dataset[()]).item()
    return header.encode() if isinstance(header, str) else bytes(header)


def read_heads(table: h5py.Dataset, file_size: int) -> npt.NDArray[Any]:
    """Return the heads of all readouts, which is what the table holds besides samples.

    Raises:
        ValueError: if it is no table of readouts, or has more samples than the file can hold.
    """
    if table.ndim != 1 or not {"head", "data"} <= set(table.dtype.names or ()):
        raise ValueError(f"data has shape {table.shape} and type {table.dtype}, expected a table with head and data")
    samples = h5py.check_vlen_dtype(table.dtype["data"])
    if samples != np.dtype("<f4"):  # h5py 3.16 does not swap the bytes within arrays of variable length
        raise ValueError(f"the readouts are of type {samples or table.dtype['data']}, expected little-endian float32")
    if len(table) * table.dtype.itemsize > file_size:
        raise ValueError(f"the table has {len(table)} readouts, more than {file_size} bytes can hold")
    heads = np.empty(len(table), table.dtype["head"])
    arrays = {name: kind.itemsize for name in table.dtype.names if (kind := h5py.check_vlen_dtype(table.dtype[name]))}
    read = 0
    for start in range(0, len(table), ROWS_AT_ONCE):
        block = table[start : start + ROWS_AT_ONCE]
        heads[start : start + ROWS_AT_ONCE] = block["head"]
        read += sum(size * sum(map(len, block[name])) for name, size in arrays.items())
        if read > file_size:
            raise ValueError(f"readouts share their samples, which are more than {file_size} bytes can hold")
    return heads


def read_samples(
    table: h5py.Dataset, rows: npt.NDArray[np.intp], channels: int, samples: npt.NDArray[np.int_]
) -> Iterator[list[npt.NDArray[np.complex64]]]:
    """Yield the samples (coil, sample) of some rows of the table, in ascending order, block after block.

    Raises:
        ValueError: if a row has another number of samples than its head says, or NaN or infinity.
    """
    for block in _read_column(table, "data", rows, 2 * channels * samples):
        yield [readout.view(np.complex64).reshape(channels, -1) for readout in block]


def read_trajectories(
    table: h5py.Dataset, rows: npt.NDArray[np.intp], dims: int, samples: int
) -> npt.NDArray[np.float32]:
    """Return the stored trajectories of some rows of the table, in ascending order, (row, sample, dim).

    Raises:
        ValueError: if the table has none, or a row another number of positions than its head says, or NaN or infinity.
    """
    if h5py.check_vlen_dtype(table.dtype["traj"]) != np.dtype("<f4"):
        raise ValueError(f"trajectories are of type {table.dtype['traj']}, expected little-endian float32")
    blocks = _read_column(table, "traj", rows, np.full(len(rows), dims * samples))
    return np.stack([trajectory for block in blocks for trajectory in block]).reshape(len(rows), samples, dims)


def _read_column(
    table: h5py.Dataset, name: str, rows: npt.NDArray[np.intp], lengths: npt.NDArray[np.int_]
) -> Iterator[list[npt.NDArray[np.float32]]]:
    ends = np.append(np.flatnonzero(np.diff(rows // ROWS_AT_ONCE)) + 1, len(rows))
    for start, end in zip(np.append(0, ends[:-1]), ends, strict=True):
        first = rows[start] // ROWS_AT_ONCE * ROWS_AT_ONCE
        block = table[first : first + ROWS_AT_ONCE][name][rows[start:end] - first]
        for readout, length in zip(block, lengths[start:end], strict=True):
            if len(readout) != length:
                raise ValueError(f"{name} of a readout has {len(readout)} numbers, expected {length}")
        if not all(np.isfinite(readout).all() for readout in block):
            raise ValueError(f"NaN or infinity in {name} of readouts {rows[start]} to {rows[end - 1]}")
        yield list(block)
