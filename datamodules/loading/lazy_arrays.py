"""Arrays that stay in their file, HDF5 or .npy, until a window of them is read, in any process."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np
import numpy.typing as npt

from lowrank_unroll.errors import DataError, first_line


class LazyArray(Protocol):
    """An array that is read window by window, by indexing it, such as an array of NumPy or a dataset of h5py."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the whole array."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of every window."""

    def __getitem__(self, window: Any, /) -> npt.NDArray[Any]:
        """Read a window."""


class HDF5Array:
    """One dataset of an HDF5 file, of which only the windows asked for are read.

    It holds no open file, so it can be pickled and sent to the workers of a DataLoader.

    Args:
        path: the HDF5 file.
        name: the dataset in it, `group/dataset`.

    Attributes:
        shape: of the dataset, () if it is empty.
        dtype: of the windows: that of the dataset, or complex if its elements are pairs of `real` and `imag`.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path.absolute()
        self.name = name
        file = _opened_hdf5(self.path)
        dataset = file[name]
        self.shape: tuple[int, ...] = dataset.shape or ()
        self.dtype: np.dtype[Any] = _hdf5_window_dtype(dataset.dtype)

    def __getitem__(self, window: Any) -> npt.NDArray[Any]:
        """Read a window, indexed as h5py indexes datasets.

        Raises:
            OSError: if the file is damaged; names it.
        """
        file = _opened_hdf5(self.path)  # hold it: a fork in another thread empties the cache, which would close it
        try:
            stored: npt.NDArray[Any] = file[self.name][window]
        except (OSError, RuntimeError, KeyError) as error:
            raise OSError(
                f"{self.path} is damaged: {self.name} cannot be read ({first_line(error)}). Restore the file; if "
                "`lowrank-unroll prepare` wrote it, run it again, which makes it anew"
            ) from error
        return complex_of_pairs(stored)


def hdf5_datasets(path: Path) -> dict[str, HDF5Array]:
    """Return all datasets of a file, of any shape and type, by name, in order.

    Raises:
        OSError: if the file cannot be read.
    """
    _opened_hdf5.cache_clear()  # the file may have been replaced since it was opened
    names: list[str] = []
    _opened_hdf5(path.absolute()).visititems(
        lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
    )
    return {name: HDF5Array(path, name) for name in sorted(names)}


@lru_cache(maxsize=128)  # well below the number of files that a process may open
def _opened_hdf5(path: Path) -> h5py.File:
    return h5py.File(path, "r")


# A forked process would share the file descriptor of its parent, even if it opened the file again.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_opened_hdf5.cache_clear)


def complex_of_pairs(stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array as complex numbers if its elements are pairs of `real` and `imag`, as MATLAB writes them."""
    dtype = _hdf5_window_dtype(stored.dtype)
    if dtype == stored.dtype:
        return stored
    numbers = np.empty(stored.shape, dtype)
    numbers.real, numbers.imag = stored["real"], stored["imag"]
    return numbers


def _hdf5_window_dtype(stored: np.dtype[Any]) -> np.dtype[Any]:
    parts = {name: stored[name] for name in stored.names or ()}
    if set(parts) != {"real", "imag"} or any(part.kind not in "iuf" for part in parts.values()):
        return stored
    return np.result_type(np.complex64, *parts.values())


class NpyArray:
    """The array of a .npy file, or the part of it at an index, of which only the windows asked for are read.

    The file is mapped anew for each window, since a pickled map would be a copy of the whole array.
    """

    def __init__(self, path: Path, *index: int) -> None:
        self.path = path.absolute()
        self.index = index
        self.shape: tuple[int, ...] = self._mapped().shape
        self.dtype: np.dtype[Any] = self._mapped().dtype

    def __getitem__(self, window: Any) -> npt.NDArray[Any]:
        """Read a window, indexed as NumPy indexes arrays."""
        return np.array(self._mapped()[window])

    def _mapped(self) -> npt.NDArray[Any]:
        array: npt.NDArray[Any] = np.lib.format.open_memmap(self.path, mode="r")
        return array[self.index] if self.index else array


class CheckedArray:
    """Frames whose windows are checked to be finite, and converted to the byte order of this machine.

    Args:
        frames: (time, ...).
        place: name of the frames in errors.
    """

    def __init__(self, frames: LazyArray, place: str) -> None:
        self.frames = frames
        self.place = place
        self.shape = frames.shape
        self.dtype = frames.dtype.newbyteorder("=")  # PyTorch takes no other

    def __getitem__(self, window: Any) -> npt.NDArray[Any]:
        """Read a window, the first index of which is time.

        Raises:
            DataError: if it cannot be read, or has NaN or infinity; names the frames of the window.
        """
        try:
            read = np.asarray(self.frames[window], dtype=self.dtype)
        except (OSError, ValueError) as error:  # ValueError where a mapped file has become shorter
            numbers = self._frame_numbers(window)
            raise DataError(f"{self.place}: {numbers} cannot be read: {first_line(error)}") from error
        if not np.isfinite(read).all():
            raise DataError(f"{self.place}: NaN or infinity in {self._frame_numbers(window)}")
        return read

    def _frame_numbers(self, window: Any) -> str:
        time = window[0] if isinstance(window, tuple) else window
        numbers = np.atleast_1d(np.arange(self.shape[0])[time])
        return f"frames {numbers.min()} to {numbers.max()}"
