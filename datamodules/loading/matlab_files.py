"""Arrays of MATLAB files."""

import math
import struct
from collections.abc import Collection
from pathlib import Path
from typing import Any

import h5py
import numpy.typing as npt

from datamodules.loading.array_checks import check_array_size, check_unfolded
from datamodules.loading.lazy_arrays import LazyArray, hdf5_datasets

NUMBERS = {"double", "single", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))}
LONGEST_NUMBER = 8  # bytes; a complex number has two, which are counted when they are unfolded
HEADER, COMPRESSED = 128, 15


def matlab_arrays(file: Path, dims: Collection[int], variable: str | None = None) -> dict[str, LazyArray]:
    """Return arrays of a MATLAB file by name, with their dims as MATLAB shows them.

    Of version 7.3, which is HDF5, these are all datasets, which stay in the file until a window is read. Files of an
    older version are read through SciPy.

    Args:
        file: to read.
        dims: the numbers of dims of the arrays to read from an older version.
        variable: name of the only array to read from an older version; None for all.

    Raises:
        DataError: if the arrays would take far more memory than the file; names it.
    """
    if h5py.is_hdf5(file):
        found = hdf5_datasets(file)
        for name, array in found.items():
            check_array_size(file, math.prod(array.shape) * array.dtype.itemsize, name)
        return {name: _Reversed(array) for name, array in found.items() if not name.startswith("#")}
    from scipy.io import loadmat, whosmat  # noqa: PLC0415  slow to import

    numeric = {name: shape for name, shape, kind in whosmat(file) if kind in NUMBERS and len(shape) in dims}
    chosen = [name for name in numeric if variable in {None, name}]
    check_array_size(file, sum(math.prod(numeric[name]) for name in chosen) * LONGEST_NUMBER, "its content")
    check_compressed_elements(file)
    content = loadmat(file, variable_names=chosen)
    return {name: content[name] for name in chosen}


def check_compressed_elements(file: Path) -> None:
    """Refuse a MATLAB file (version 5) whose compressed elements would take far more memory than the file.

    Raises:
        DataError: names the file.
    """
    with file.open("rb") as content:
        order = ">" if content.read(HEADER)[-2:] == b"MI" else "<"
        unfolded = 0
        while len(head := content.read(8)) == 8:  # noqa: PLR2004
            kind, size = struct.unpack(f"{order}II", head)
            if kind == COMPRESSED:
                unfolded = check_unfolded(file, content.read(size), unfolded)
            else:
                content.seek(size, 1)


class _Reversed:
    """A stored array with its dims in reverse order, as MATLAB 7.3 stores them."""

    def __init__(self, array: LazyArray) -> None:
        self.array, self.shape, self.dtype = array, array.shape[::-1], array.dtype

    def __getitem__(self, window: Any) -> npt.NDArray[Any]:
        return self.array[window[::-1]].T
