"""HDF5 files with checksums, written so that a full disk is an ordinary error."""

import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import h5py
import numpy.typing as npt

from lowrank_unroll.errors import first_line
from lowrank_unroll.files import written_whole

# At most; a crop of 16 x 128 x 128 reads few chunks beyond its own.
CHUNK = (1, 8, 64, 64)
# The oldest format that has checksums also of what is not the content of a dataset.
FORMAT = ("v110", "v110")


def write_hdf5(path: Path, arrays: Iterable[tuple[str, npt.NDArray[Any]]]) -> None:
    """Write named arrays of at most four dims into an HDF5 file, whole or not at all, with a checksum for every part.

    The file is made in memory first, since the library crashes on a full disk.

    Raises:
        OSError: if it cannot be written, such as when the disk is full; names it.
    """
    content = io.BytesIO()
    with h5py.File(content, "w", libver=FORMAT) as file:
        for name, array in arrays:
            file.create_dataset(name, data=array, chunks=_chunks(array.shape), fletcher32=True)
    with written_whole(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Sides that divide those of an array evenly, since HDF5 stores whole chunks."""
    return tuple(
        math.ceil(side / math.ceil(side / most)) for side, most in zip(shape, CHUNK[-len(shape) :], strict=True)
    )


def hdf5_damage(path: Path, thorough: bool = True) -> str | None:
    """What is wrong with a file of :func:`write_hdf5`; None if nothing is.

    Args:
        path: of the file.
        thorough: compare all checksums, for which the whole file is read; if not, read what is in it only.

    Raises:
        OSError: if the system does not let the file be read, which says nothing of its content.
    """
    datasets: list[h5py.Dataset] = []
    try:
        with h5py.File(path) as file:
            file.visititems(lambda _, item: datasets.append(item) if isinstance(item, h5py.Dataset) else None)
            for dataset in datasets if thorough else ():
                dataset[()]
    except Exception as error:  # on damage, HDF5 raises errors of many unrelated classes
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return first_line(error)
    return None if datasets else "it holds nothing"
