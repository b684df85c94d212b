"""Series of images (cines), and reading them from files."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from rich.progress import track

from datamodules.hdf5_frames import hdf5_datasets


class Frames(Protocol):
    """Frames (time, height, width) that are read by indexing; arrays of NumPy and datasets of h5py are such."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, height, width)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of every window."""

    def __getitem__(self, window: Any, /) -> npt.NDArray[Any]:
        """Read a window, the first index of which is time."""


class Cine(NamedTuple):
    """A series of images (time, height, width), magnitude or complex, in the units of its file; what to call it.

    The sensitivities of the coils that measured it, (coil, height, width), where they are known.
    """

    frames: Frames
    name: str
    coil_sensitivities: Frames | None = None


def read_cines(path: Path) -> list[Cine]:
    """Read every series of images of a file, or of all files of a folder in order of their names.

    HDF5 (.h5, .hdf5): all numeric datasets (time, height, width). They stay in their file until a window is read.
    NumPy (.npy, .npz): arrays (time, height, width), or (number, time, height, width). Those of .npy stay in the file.
    NIfTI (.nii, .nii.gz): (x, y, slice, time), one series per slice, or (x, y, time); height is y, width x, unflipped.
    DICOM (.dcm): the frames of one multi-frame file.

    Datasets and arrays of other shapes or types are passed over. A series has the name of its dataset, after that of
    its file if several files are read, or else the name of its file. NaN and infinity are refused: for frames that
    stay in their file, once a window is read.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no such file in the folder.
        ModuleNotFoundError: if a file needs a package that is not installed; names both.
        ValueError: if a file cannot be read, or holds no series of images; names the file and what was found.
    """
    files = _files(path)
    stems = [file.name[: -len(_suffix(file))] for file in files]
    progress = track(files, description=f"Reading {path.name}", transient=True, disable=len(files) == 1)
    cines: list[Cine] = []
    for file, stem in zip(progress, stems, strict=True):
        source = stem if stems.count(stem) == 1 else file.name
        for name, frames in _read(file).items():
            if not name or name.startswith("["):  # as formats without named arrays leave them
                cines.append(Cine(frames, source + name))
            else:
                cines.append(Cine(frames, name if len(files) == 1 else f"{source}/{name}"))
    return cines


class CheckedFrames:
    """Frames whose every window is finite and in the byte order of this machine; errors name their place."""

    def __init__(self, frames: Frames, place: str) -> None:
        self.frames = frames
        self.place = place
        self.shape = frames.shape
        self.dtype = frames.dtype.newbyteorder("=")  # PyTorch takes no other

    def __getitem__(self, window: Any) -> npt.NDArray[Any]:
        """Read a window, the first index of which is time.

        Raises:
            ValueError: if it cannot be read, or has NaN or infinity; names the frames of the window.
        """
        try:
            read = np.asarray(self.frames[window], dtype=self.dtype)
        except OSError as error:
            raise ValueError(f"{self.place}: {self._frame_numbers(window)} cannot be read: {error}") from error
        if not np.isfinite(read).all():
            raise ValueError(f"{self.place}: NaN or infinity in {self._frame_numbers(window)}")
        return read

    def _frame_numbers(self, window: Any) -> str:
        time = window[0] if isinstance(window, tuple) else window
        numbers = np.atleast_1d(np.arange(self.shape[0])[time])
        return f"frames {numbers.min()} to {numbers.max()}"


class MappedFrames:
    """The array of a .npy file, or the part of it at an index, of which only the windows asked for are read.

    It maps the file anew for each window, since a pickled map would be a copy of the whole array.
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


def _read_npy(file: Path) -> Mapping[str, Frames]:
    array = MappedFrames(file)
    number = array.shape[0] if len(array.shape) == 4 else 0  # noqa: PLR2004
    return {f"[{index}]": MappedFrames(file, index) for index in range(number)} or {"": array}


def _read_npz(file: Path) -> Mapping[str, Frames]:
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        return {key: series for name in sorted(archive.files) for key, series in _split(archive[name], name).items()}


def _read_nifti(file: Path) -> Mapping[str, Frames]:
    array = np.asarray(_package("nibabel", "nifti", file).load(file, mmap=False).dataobj).T  # (time[, slice], y, x)
    return _split(array.swapaxes(0, 1) if array.ndim == 4 else array)  # noqa: PLR2004


def _read_dicom(file: Path) -> Mapping[str, Frames]:
    pydicom = _package("pydicom", "dicom", file)
    data = pydicom.dcmread(file)
    return {"": np.array(pydicom.pixels.apply_rescale(data.pixel_array, data))}


def _split(array: npt.NDArray[Any], name: str = "") -> dict[str, Frames]:
    if array.ndim != 4:  # noqa: PLR2004
        return {name: array}
    return {f"{name}[{index}]": series for index, series in enumerate(array)}


def _package(name: str, extra: str, file: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f'{file} needs {name}: pip install "lowrank-unroll[{extra}]"') from error


_READERS: dict[str, Callable[[Path], Mapping[str, Frames]]] = {
    ".dcm": _read_dicom,
    ".h5": hdf5_datasets,
    ".hdf5": hdf5_datasets,
    ".nii": _read_nifti,
    ".nii.gz": _read_nifti,
    ".npy": _read_npy,
    ".npz": _read_npz,
}


def _read(file: Path) -> dict[str, Frames]:
    try:
        found = _READERS[_suffix(file)](file)
    except ModuleNotFoundError:
        raise
    except Exception as error:  # the readers of so many formats raise errors of many unrelated classes
        raise ValueError(f"{file}: cannot be read as series of images: {error}") from error
    series = {name: frames for name, frames in found.items() if _is_series(frames)}
    if not series:
        listing = ", ".join(f"{name} {array.shape} {array.dtype.name}".strip() for name, array in found.items())
        raise ValueError(f"{file}: expected numbers (time, height, width), found {listing[:500] or 'nothing'}")
    return {name: _checked(frames, f"{file}: {name}" if name else f"{file}") for name, frames in series.items()}


def _is_series(frames: Frames) -> bool:
    return len(frames.shape) == 3 and 0 not in frames.shape and frames.dtype.kind in "iufc"  # noqa: PLR2004


def _checked(frames: Frames, place: str) -> Frames:
    checked = CheckedFrames(frames, place)
    return checked[:] if isinstance(frames, np.ndarray) else checked


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path.absolute()}")
    found = sorted(file for file in path.iterdir() if file.name[0] != ".") if path.is_dir() else [path]
    files = [file for file in found if file.is_file() and _suffix(file)]
    if not files:
        raise FileNotFoundError(f"no {', '.join(_READERS)} file at {path.absolute()}")
    return files


def _suffix(file: Path) -> str:
    return next((suffix for suffix in _READERS if file.name.lower().endswith(suffix)), "")
