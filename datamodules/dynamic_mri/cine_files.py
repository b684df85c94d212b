"""Reading series of images from files."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.progress import track

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.dicom_files import group_dicom, read_dicom
from datamodules.loading.array_checks import check_array_size
from datamodules.loading.data_module import Split
from datamodules.loading.lazy_arrays import CheckedArray, LazyArray, NpyArray, hdf5_datasets
from datamodules.loading.source_names import source_names
from lowrank_unroll.errors import DataError, UsageError, first_line
from lowrank_unroll.extras import import_extra
from lowrank_unroll.names import unique_names


def read_cines(path: Path) -> list[Cine]:
    """Read every series of images of a file, or of all files of a folder in order of their names.

    HDF5 (.h5, .hdf5): all numeric datasets (time, height, width). They stay in their file until a window is read.
    NumPy (.npy, .npz): arrays (time, height, width), or (number, time, height, width). Those of .npy stay in the file.
    NIfTI (.nii, .nii.gz): (x, y, slice, time), one series per slice, or (x, y, time); height is y, width x, unflipped.
    DICOM (.dcm, or without suffix): a file of many frames, or all files of single frames of a series, which has the
    name of the folder; in order of time, one series per slice.

    Datasets and arrays of other shapes or types are skipped. A series has the name of its dataset, after that of
    its file if several files are read, or else the name of its file. NaN and infinity are refused; in frames that stay
    in their file, when a window is read.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no such file in the folder.
        ModuleNotFoundError: if a file needs a package that is not installed; names both.
        DataError: if a file cannot be read, or holds no series of images; names the file and what was found.
    """
    sources = _sources(_files(path))
    files = [source[0] if len(source) == 1 else path.resolve() for source in sources]
    progress = track(sources, description=f"Reading {path.name}", transient=True, disable=len(files) == 1)
    cines: list[Cine] = []
    names = unique_names(source_names([Path(file.name) for file in files], list(map(_stem, files))))
    for read, source in zip(progress, names, strict=True):
        for name, frames in _read(read).items():
            if not name or name.startswith("["):  # of a format without named arrays
                cines.append(Cine(frames, source + name))
            else:
                cines.append(Cine(frames, name if len(sources) == 1 else f"{source}/{name}"))
    return cines


def read_split(paths: Mapping[Split, Path | None], split: Split) -> list[Cine]:
    """Read the series of a split as :func:`read_cines` does.

    Raises:
        UsageError: if no path is given for it.
    """
    path = paths[split]
    if path is None:
        raise UsageError(f"no series for this stage: pass --data.{split}_path FILE_OR_FOLDER")
    return read_cines(Path(path))


def _read_npy(file: Path) -> Mapping[str, LazyArray]:
    array = NpyArray(file)
    number = array.shape[0] if len(array.shape) == 4 else 0  # noqa: PLR2004
    return {f"[{index}]": NpyArray(file, index) for index in range(number)} or {"": array}


def _read_hdf5(file: Path) -> Mapping[str, LazyArray]:
    found = hdf5_datasets(file)
    for name, frames in found.items():
        check_array_size(file, math.prod(frames.shape) * frames.dtype.itemsize, name)
    return found


def _read_npz(file: Path) -> Mapping[str, LazyArray]:
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        check_array_size(file, sum(member.file_size for member in archive.zip.infolist()), "its content")
        return {key: series for name in sorted(archive.files) for key, series in _split(archive[name], name).items()}


def _read_nifti(file: Path) -> Mapping[str, LazyArray]:
    image = _nibabel(file).load(file, mmap=False)
    check_array_size(file, math.prod(image.shape) * image.get_data_dtype().itemsize, "the series")
    array = np.asarray(image.dataobj).T  # (time[, slice], y, x)
    return _split(array.swapaxes(0, 1) if array.ndim == 4 else array)  # noqa: PLR2004


def _split(array: npt.NDArray[Any], name: str = "") -> dict[str, LazyArray]:
    if array.ndim != 4:  # noqa: PLR2004
        return {name: array}
    return {f"{name}[{index}]": series for index, series in enumerate(array)}


def _nibabel(file: Path) -> Any:
    return import_extra("nibabel", "nifti", str(file))


_READERS: dict[str, Callable[[Path], Mapping[str, LazyArray]]] = {
    ".dcm": lambda file: read_dicom([file]),
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".nii": _read_nifti,
    ".nii.gz": _read_nifti,
    ".npy": _read_npy,
    ".npz": _read_npz,
}


def _sources(files: Sequence[Path]) -> list[list[Path]]:
    """Group the single frames of DICOM series; any other file is a group of its own."""
    dicom = [file for file in files if _suffix(file) == ".dcm"]
    groups = group_dicom(dicom) if len(dicom) > 1 else [dicom] * len(dicom)
    return sorted([*groups, *([file] for file in files if file not in dicom)])


def _read(files: Sequence[Path]) -> dict[str, LazyArray]:
    file = files[0]
    try:
        found = _READERS[_suffix(file)](file) if len(files) == 1 else read_dicom(files)
    except (ModuleNotFoundError, DataError):
        raise
    except Exception as error:  # readers raise errors of many unrelated classes
        raise DataError(f"{file}: cannot be read as series of images: {first_line(error)}") from error
    series = {name: frames for name, frames in found.items() if _is_series(frames)}
    if not series:
        listing = ", ".join(f"{name} {array.shape} {array.dtype.name}".strip() for name, array in found.items())
        raise DataError(f"{file}: expected numbers (time, height, width), found {listing[:500] or 'nothing'}")
    return {name: _checked(frames, f"{file}: {name}" if name else f"{file}") for name, frames in series.items()}


def _is_series(frames: LazyArray) -> bool:
    return len(frames.shape) == 3 and 0 not in frames.shape and frames.dtype.kind in "iufc"  # noqa: PLR2004


def _checked(frames: LazyArray, place: str) -> LazyArray:
    checked = CheckedArray(frames, place)
    return checked[:] if isinstance(frames, np.ndarray) else checked


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path.absolute()}")
    found = sorted(file for file in path.iterdir() if file.name[0] != ".") if path.is_dir() else [path]
    files = [file for file in found if file.is_file() and _suffix(file)]
    if not files:
        raise FileNotFoundError(f"no {', '.join(_READERS)} file at {path.absolute()}")
    return files


def _stem(file: Path) -> str:
    suffix = _suffix(file)
    return file.name[: -len(suffix)] if file.name.lower().endswith(suffix) and suffix else file.name


def _suffix(file: Path) -> str:
    found = next((suffix for suffix in _READERS if file.name.lower().endswith(suffix)), "")
    return found or (".dcm" if not file.suffix and _is_dicom(file) else "")


def _is_dicom(file: Path) -> bool:
    """Return whether a file begins like DICOM, which scanners often name without suffix."""
    if not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"
