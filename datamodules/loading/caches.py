"""Caches: files that can be made again. A damaged one is rebuilt, and no other file is lost."""

import math
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy.typing as npt

from lowrank_unroll.errors import first_line
from lowrank_unroll.files import remove_leftovers, written_from_memory
from lowrank_unroll.terminal import say

# Largest chunk; a crop of 16 x 128 x 128 reads few chunks beyond its own.
CHUNK = (1, 8, 64, 64)
# The oldest format with checksums of metadata, too.
FORMAT = ("v110", "v110")


def needs_build(path: Path, damage: Callable[[Path], str | None]) -> bool:
    """Return whether a cache is missing or damaged, and remove the temporary files that killed runs left of it.

    A damaged file is renamed, with a message, and not deleted, since it may be a file of the user's.

    Args:
        path: of the cache.
        damage: describes the damage of a file; None if it is intact.
    """
    remove_leftovers(path)
    if not path.exists():
        return True
    found = damage(path)
    if found is None:
        return False
    aside = path.with_name(f"{path.name}.damaged")
    with suppress(FileNotFoundError):  # another run was faster
        path.replace(aside)
    say(f"{path} is damaged ({found}): it is made anew, and kept as {aside.name}", sys.stderr)
    return True


def write_hdf5(path: Path, arrays: Iterable[tuple[str, npt.NDArray[Any]]]) -> None:
    """Write named arrays of at most four dims into an HDF5 file with checksums, whole or not at all.

    Raises:
        OSError: if it cannot be written, such as when the disk is full; names it.
    """
    with written_from_memory(path) as content, h5py.File(content, "w", libver=FORMAT) as file:
        for name, array in arrays:
            file.create_dataset(name, data=array, chunks=_chunks(array.shape), fletcher32=True)


def _chunks(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return chunk sides that divide the array evenly, since HDF5 stores whole chunks."""
    return tuple(
        math.ceil(side / math.ceil(side / most)) for side, most in zip(shape, CHUNK[-len(shape) :], strict=True)
    )


def hdf5_damage(path: Path, thorough: bool = True) -> str | None:
    """Describe the damage of a file of :func:`write_hdf5`; None if it is intact.

    Args:
        path: of the file.
        thorough: read the whole file and compare all checksums; if not, only list its datasets.

    Raises:
        OSError: if the system denies access to the file, which says nothing of its content.
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
