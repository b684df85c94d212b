"""Reading series of images from files."""

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from datamodules.dynamic_mri.cine import Cine, Frames
from datamodules.dynamic_mri.stored_frames import CheckedFrames, MappedFrames, hdf5_datasets
from datamodules.loading.source_names import source_names
from lowrank_unroll.errors import DataError, first_line


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
        DataError: if a file cannot be read, or holds no series of images; names the file and what was found.
    """
    files = _files(path)
    stems = [file.name[: -len(_suffix(file))] for file in files]
    progress = track(files, description=f"Reading {path.name}", transient=True, disable=len(files) == 1)
    cines: list[Cine] = []
    names = source_names([Path(file.name) for file in files], stems)
    for file, source in zip(progress, names, strict=True):
        for name, frames in _read(file).items():
            if not name or name.startswith("["):  # as formats without named arrays leave them
                cines.append(Cine(frames, source + name))
            else:
                cines.append(Cine(frames, name if len(files) == 1 else f"{source}/{name}"))
    return cines


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
        raise DataError(f"{file}: cannot be read as series of images: {first_line(error)}") from error
    series = {name: frames for name, frames in found.items() if _is_series(frames)}
    if not series:
        listing = ", ".join(f"{name} {array.shape} {array.dtype.name}".strip() for name, array in found.items())
        raise DataError(f"{file}: expected numbers (time, height, width), found {listing[:500] or 'nothing'}")
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
