"""Reading multi- and hyperspectral cubes from files."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile

from datamodules.loading.array_checks import as_boolean_mask, check_array_size
from datamodules.loading.lazy_arrays import LazyArray, NpyArray, hdf5_datasets
from datamodules.loading.matlab_files import matlab_arrays
from datamodules.loading.source_names import source_names
from datamodules.spectral.compressed_parts import check_tiff_parts
from datamodules.spectral.cube import BandsFirst, Cube, checked_cube
from datamodules.spectral.envi import EnviArray
from lowrank_unroll.errors import DataError, first_line

DIMS = 3


class Stored(NamedTuple):
    """An array of a file, and which of its dims are band, height and width; None if the file does not say."""

    array: LazyArray
    axes: tuple[int, int, int] | None = None


def read_cubes(path: Path, band_axis: int = -1, variable: str | None = None, bands: int | None = None) -> list[Cube]:
    """Read a file, or all files of a folder in order of their names, each of one cube.

    NumPy (.npy), MATLAB (.mat, of any version) and HDF5 (.h5, .hdf5): a numeric array of three dims. ENVI (.hdr, beside
    its raw file) and TIFF (.tif, .tiff): pages or samples are bands. Arrays of .npy, HDF5 (MATLAB 7.3 among them) and
    ENVI stay in their file until a window is read; all values are read once, to be checked.

    Args:
        path: of the file or folder.
        band_axis: dim of the arrays of .npy, .mat and HDF5 that is the spectrum; the two others are height and width,
            in this order. That of .mat as MATLAB shows it.
        variable: name of the array, in files that hold several of three dims; None for the only one.
        bands: how many bands to use, evenly spaced from the first to the last; None for all.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no such file in the folder.
        DataError: if a file cannot be read, holds no cube or several, or a value that is no finite number; names it.
        UsageError: if it has fewer bands.
        ValueError: if ``band_axis`` is no dim of three.
    """
    _check_band_axis(band_axis)
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path.absolute()}")
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if _is_cube(file))
    if not files:
        raise FileNotFoundError(f"no {', '.join(_READERS)} file in the folder {path.absolute()}")
    names = source_names([Path(file.name) for file in files])
    return [
        checked_cube(_bands_first(_read(file, variable), band_axis), name, str(file), bands)
        for file, name in zip(files, names, strict=True)
    ]


def read_mask(path: Path, band_axis: int = -1) -> npt.NDArray[np.bool_]:
    """Read a mask from a .npy file, True where it is not zero.

    Args:
        path: of the file, (height, width) for all bands, or with the spectrum as a third dim.
        band_axis: dim of the spectrum.

    Returns:
        (1 or band, height, width).

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if the file cannot be read, has another shape, is zero everywhere or holds more than two values;
            names the file.
        ValueError: if ``band_axis`` is no dim of three.
    """
    _check_band_axis(band_axis)
    if not path.exists():
        raise FileNotFoundError(f"there is no mask file {path.absolute()}")
    try:
        mask = NpyArray(path)[...]
    except Exception as error:  # readers raise errors of many unrelated classes
        raise DataError(f"{path}: cannot be read as a .npy file: {first_line(error)}") from error
    if mask.ndim not in {DIMS - 1, DIMS} or 0 in mask.shape:
        raise DataError(f"{path}: a mask of shape {mask.shape}, expected (height, width), or a band axis beside them")
    planes = mask[None] if mask.ndim < DIMS else np.moveaxis(mask, band_axis, 0)
    return as_boolean_mask(planes, f"{path}: the mask")


def _check_band_axis(band_axis: int) -> None:
    if not -DIMS <= band_axis < DIMS:
        raise ValueError(f"band_axis is {band_axis}, expected -1 or 2 for the last of three dims, 0 for the first")


def _read(file: Path, variable: str | None) -> Stored:
    read = _READERS.get(file.suffix.lower())
    if read is None:
        raise DataError(f"{file}: expected a file of {', '.join(_READERS)}")
    try:
        found = read(file, variable)
    except DataError:
        raise
    except Exception as error:  # readers raise errors of many unrelated classes
        raise DataError(f"{file}: cannot be read as a cube: {first_line(error)}") from error
    cubes = {name: stored for name, stored in found.items() if _is_numeric_cube(stored.array)}
    if variable is not None:
        cubes = {name: stored for name, stored in cubes.items() if name in {variable, ""}}
    if len(cubes) != 1:
        listing = ", ".join(f"{name} {stored.array.shape} {stored.array.dtype.name}" for name, stored in found.items())
        hint = ": choose one with --data.variable" if len(cubes) > 1 else ""
        wanted = "" if variable is None else f" {variable}"
        raise DataError(
            f"{file}: expected one array{wanted} of real numbers and three dims, found {listing[:300] or 'none'}{hint}"
        )
    (cube,) = cubes.values()
    return cube


def _read_npy(file: Path, _variable: str | None) -> Mapping[str, Stored]:
    return {"": Stored(NpyArray(file))}


def _read_hdf5(file: Path, _variable: str | None) -> Mapping[str, Stored]:
    found = hdf5_datasets(file)
    for name, array in found.items():
        check_array_size(file, math.prod(array.shape) * array.dtype.itemsize, name)
    return {name: Stored(array) for name, array in found.items()}


def _read_matlab(file: Path, variable: str | None) -> Mapping[str, Stored]:
    return {name: Stored(array) for name, array in matlab_arrays(file, {DIMS}, variable).items()}


def _read_envi(file: Path, _variable: str | None) -> Mapping[str, Stored]:
    array = EnviArray(file)
    return {"": Stored(array, array.axes)}


def _read_tiff(file: Path, _variable: str | None) -> Mapping[str, Stored]:
    """Read all pages, or the samples of the only page, as bands."""
    with tifffile.TiffFile(file) as content:
        series = content.series[0]
        planes = [(one.shape, one.dtype) for one in content.series]
        # Written page by page, each page is a series of its own.
        of_pages = series.ndim == DIMS - 1 and len(planes) > 1 and len(set(planes)) == 1
        pages = content.pages if of_pages else series.pages
        check_array_size(file, series.nbytes * (len(planes) if of_pages else 1), "the cube")
        check_tiff_parts(file, content, pages)
        if of_pages:
            axes, array = f"I{series.axes}", content.asarray(key=slice(None))
        else:
            axes, array = series.axes, series.asarray()
    if array.ndim != DIMS or "Y" not in axes or "X" not in axes:
        return {axes: Stored(array)} if array.ndim != DIMS else {}
    height, width = axes.index("Y"), axes.index("X")
    return {"": Stored(array, (DIMS - height - width, height, width))}


_READERS: dict[str, Callable[[Path, str | None], Mapping[str, Stored]]] = {
    ".npy": _read_npy,
    ".mat": _read_matlab,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".hdr": _read_envi,
    ".tif": _read_tiff,
    ".tiff": _read_tiff,
}


def _bands_first(stored: Stored, band_axis: int) -> BandsFirst:
    if stored.axes is not None:
        return BandsFirst(stored.array, stored.axes)
    band = band_axis % DIMS
    height, width = (axis for axis in range(DIMS) if axis != band)
    return BandsFirst(stored.array, (band, height, width))


def _is_numeric_cube(array: LazyArray) -> bool:
    return len(array.shape) == DIMS and 0 not in array.shape and array.dtype.kind in "iuf"


def _is_cube(file: Path) -> bool:
    return file.is_file() and file.suffix.lower() in _READERS and not file.name.startswith(".")
