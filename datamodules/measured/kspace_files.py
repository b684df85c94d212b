"""Files of measured k-space, to reconstruct."""

import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import ConcatDataset, Dataset

from datamodules.loading.array_checks import as_boolean_mask, check_array_size
from datamodules.loading.lazy_arrays import complex_of_pairs
from datamodules.loading.source_names import source_names
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.ismrmrd.sandbox import select_raw_files
from datamodules.measured.ismrmrd.scan_file import is_cartesian
from datamodules.measured.matlab_series import MatlabSeries
from datamodules.measured.raw_series import RawSeries
from datamodules.measured.scaling import scale_to_unit_maximum
from datamodules.measured.spokes import Spokes
from datamodules.measured.trajectory_series import TrajectorySeries
from lowrank_unroll.errors import DataError, first_line
from lowrank_unroll.sample import Sample

ARRAYS = ("kspace", "mask", "coil_sensitivities")
FASTMRI = {"ismrmrd_header", "reconstruction_rss", "reconstruction_esc"}  # datasets of its files besides k-space
Arrays = Mapping[str, npt.NDArray[Any]]

# Images with a maximum of 2^-100 to 2^100 leave single precision room for darker pixels.
MOST_OCTAVES = 100
LOG_2 = math.log10(2)


class KSpaceFiles(Dataset[Sample]):
    """Files of measured k-space, .h5 or .npz.

    Each holds these arrays; complex numbers may be pairs of `real` and `imag`, and dims are reversed in files that
    MATLAB wrote:

        kspace                (coil, time, height, width), complex, centred, of any scale
        mask                  (time, height, width), not zero where sampled; where k-space is not zero, if absent
        coil_sensitivities    (coil, height, width), complex, of any scale; required for several coils

    A sample's target is unknown.

    Args:
        files: with these suffixes.
    """

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files
        self.names = source_names([Path(file.name) for file in files])

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        """Read and check a file.

        Raises:
            DataError: if the file cannot be read, an array is missing or has the wrong size or dtype, holds NaN or
                infinity or is zero everywhere, the mask is not binary, or the image would be too bright or too dark
                for single precision; names the file.
        """
        file = self.files[index]
        arrays = _read(file)
        kspace = _complex_array(file, arrays, "kspace", dims=4)
        mask = _mask(file, arrays, kspace)
        sensitivities, gain = _sensitivities(file, arrays, kspace)
        measured = kspace * mask.numpy()
        if not measured.any():
            raise DataError(f"{file}: kspace is zero wherever the mask samples it, expected a measurement")
        near_one, exponent = _near_one(measured)
        measurement = torch.as_tensor(near_one.astype(np.complex64))
        unit = torch.tensor(1.0)
        sample = scale_to_unit_maximum(
            Sample(measurement, None, mask, sensitivities, unit, self.names[index], "measured")
        )
        return sample._replace(scale=_brightness(file, float(sample.scale), exponent - gain))


def _read_hdf5(file: Path) -> Arrays:
    with h5py.File(file) as content:
        if FASTMRI & set(content):
            raise ValueError(
                "it is one of fastMRI, whose k-space is (slice, coil, height, width), without time: save that of a "
                "slice as kspace[slice][:, None], with its coil_sensitivities, in a file of its own"
            )
        return {name: _array(file, content[name]) for name in ARRAYS if name in content}


def _array(file: Path, dataset: h5py.Dataset) -> npt.NDArray[Any]:
    check_array_size(file, dataset.nbytes, dataset.name)
    array = complex_of_pairs(np.asarray(dataset[()]))
    return array.T if "MATLAB_class" in dataset.attrs else array  # MATLAB lists dims in reverse


def _read_npz(file: Path) -> Arrays:
    if not zipfile.is_zipfile(file):  # NumPy would advise to unpickle another file
        raise ValueError("it is not an archive of NumPy")
    with np.load(file, allow_pickle=False) as content:
        sizes = {part.filename.removesuffix(".npy"): part.file_size for part in content.zip.infolist()}
        found = [name for name in ARRAYS if name in content]
        for name in found:
            check_array_size(file, sizes[name], name)
        return {name: np.asarray(content[name]) for name in found}


READERS = {".h5": _read_hdf5, ".hdf5": _read_hdf5, ".npz": _read_npz}
MATLAB = ".mat"
SUFFIXES = (".mrd", MATLAB, *READERS)  # .mrd is the suffix of newer raw files


def _read(file: Path) -> Arrays:
    try:
        return READERS[file.suffix.lower()](file)
    except DataError:
        raise
    except Exception as error:  # readers raise errors of many unrelated classes
        raise DataError(f"{file}: cannot be read: {first_line(error)}") from error


def _complex_array(file: Path, arrays: Arrays, name: str, dims: int) -> npt.NDArray[Any]:
    if name not in arrays:
        raise DataError(f"{file}: holds no array {name!r}, only {', '.join(arrays) or 'none of ' + ', '.join(ARRAYS)}")
    array = arrays[name]
    if not np.iscomplexobj(array):
        raise DataError(f"{file}: {name} is {array.dtype}, expected complex values")
    if array.ndim != dims:
        expected = "(coil, time, height, width)" if dims == 4 else "(coil, height, width)"  # noqa: PLR2004
        raise DataError(f"{file}: {name} has shape {array.shape}, expected {expected}")
    if not array.size:
        raise DataError(f"{file}: {name} has shape {array.shape}, expected at least one value")
    if not np.isfinite(array).all():
        where = np.argwhere(~np.isfinite(array))[0].tolist()
        raise DataError(f"{file}: {name} holds NaN or infinity, first at index {where}")
    return array


def _mask(file: Path, arrays: Arrays, kspace: npt.NDArray[Any]) -> torch.Tensor:
    if not kspace.any():
        raise DataError(f"{file}: kspace is zero everywhere, expected a measurement")
    mask = arrays["mask"] if "mask" in arrays else np.asarray(kspace.any(0))
    if mask.shape != kspace.shape[1:]:
        raise DataError(
            f"{file}: the mask has shape {mask.shape}, but k-space {kspace.shape}; expected (time, height, width) = "
            f"{kspace.shape[1:]}"
        )
    return torch.as_tensor(as_boolean_mask(mask, f"{file}: the mask"))[None]


def _sensitivities(file: Path, arrays: Arrays, kspace: npt.NDArray[Any]) -> tuple[torch.Tensor | None, float]:
    """Scale sensitivities to a root sum of squares of at most 1, as step sizes expect; return also the log2 divisor."""
    coils, _, height, width = kspace.shape
    if coils == 1 and "coil_sensitivities" not in arrays:
        return None, 0.0
    if "coil_sensitivities" not in arrays:
        raise DataError(
            f"{file}: k-space of {coils} coils needs the array 'coil_sensitivities', ({coils}, {height}, {width})"
        )
    maps = _complex_array(file, arrays, "coil_sensitivities", dims=3)
    if maps.shape != (coils, height, width):
        raise DataError(
            f"{file}: coil_sensitivities have shape {maps.shape}, but k-space {kspace.shape}; expected "
            f"{(coils, height, width)}"
        )
    if not maps.any():
        raise DataError(f"{file}: coil_sensitivities are zero everywhere, expected the sensitivities of the coils")
    near_one, exponent = _near_one(maps)
    wide = near_one.astype(np.complex128)  # squares of small sensitivities vanish in single precision
    gain = np.sqrt(np.square(np.abs(wide)).sum(0)).max()
    return torch.as_tensor((wide / gain).astype(np.complex64))[:, None], exponent + math.log2(gain)


def _near_one(array: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], int]:
    """Divide a complex array by the power of two that brings its largest part to [1, 2); also return the exponent."""
    parts = np.ascontiguousarray(array).view(array.real.dtype)
    exponent = int(np.frexp(np.abs(parts).max())[1]) - 1
    return np.ldexp(parts, -exponent).view(array.dtype), exponent


def _brightness(file: Path, scale: float, exponent: float) -> torch.Tensor:
    """Return a scale times a power of two."""
    brightness = math.log2(scale) + exponent
    if abs(brightness) > MOST_OCTAVES:
        raise DataError(
            f"{file}: kspace and coil_sensitivities give the image a maximum of 1e{brightness * LOG_2:+.0f}, "
            "which is out of the range of single precision: multiply one of them by a power of ten"
        )
    return torch.tensor(2.0**brightness)


def read_kspace(path: Path, coils: Coils, spokes: Spokes = Spokes()) -> Dataset[Sample]:  # noqa: B008  immutable
    """Return the series of a file or of all files in a folder.

    See :class:`KSpaceFiles`, :class:`MatlabSeries`, :class:`RawSeries` and :class:`TrajectorySeries`.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no such file in the folder.
        DataError: if a file is of another kind, or a raw file cannot be read.
    """
    files = _files(path)
    matlab = [file for file in files if file.suffix.lower() == MATLAB]
    raw = select_raw_files([file for file in files if file.suffix.lower() not in {MATLAB, ".npz"}])
    others = [file for file in files if file not in {*raw, *matlab}]
    if unknown := [file for file in others if file.suffix.lower() not in READERS]:
        raise DataError(f"{unknown[0]}: holds no raw data, which are the datasets xml and data in the group 'dataset'")
    names = dict(zip(files, source_names([Path(file.name) for file in files]), strict=True))
    datasets: list[Dataset[Sample]] = [
        RawSeries(file, coils, names[file])
        if is_cartesian(file)
        else TrajectorySeries(file, coils, spokes, names[file])
        for file in raw
    ]
    datasets += [MatlabSeries(file, names[file]) for file in matlab]
    return ConcatDataset([*([KSpaceFiles(others)] if others else []), *datasets])


def _files(path: Path) -> list[Path]:
    if not path.exists():
        raise FileNotFoundError(f"there is no file or folder {path.absolute()}")
    if path.is_file():
        if path.suffix.lower() not in SUFFIXES:
            raise DataError(f"{path}: expected a file of {', '.join(SUFFIXES)}")
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise FileNotFoundError(f"no {', '.join(SUFFIXES)} file in the folder {path.absolute()}")
    return files
