"""Series in MATLAB files of dynamic k-space, to reconstruct."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.loading.lazy_arrays import LazyArray
from datamodules.loading.matlab_files import matlab_arrays
from datamodules.measured.coil_treatment import LARGEST, SMALLEST, Treated
from datamodules.measured.raw_series import sample_of
from lowrank_unroll.errors import DataError, first_line
from lowrank_unroll.sample import Sample

SLICE, VOLUME = 3, 4  # dims, with time
EXPECTED = "k-space (readout, height, width, time) or (readout, width, time)"
USUAL_NAME = "kspace"


class MatlabSeries(Dataset[Sample]):
    """The series of a MATLAB file of dynamic k-space of a single coil.

    The file holds one complex array of three or four dims, as MATLAB shows them: (readout, height, width, time) of a
    volume, or (readout, width, time) of a slice; centred, and zero where nothing was measured. Of several such arrays
    it is the one named `kspace`. Each readout is measured as a whole, so that after a Fourier transform along it every
    pixel of the readout is a series (time, height, width) of its own. A slice is one series, whose height is the
    readout. A sample's target is unknown.

    Args:
        path: of the file, of any version of MATLAB.
        name: prefix of the names of the series; None for the name of the file.

    Attributes:
        kspace: (series, time, height, width), complex64, in the unit of the file.
        sampled: of every series, (time, height, width), boolean.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if the file cannot be read, holds no such k-space, or NaN, infinity, nothing but zeros or values
            beyond single precision; names it.
    """

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        stem = path.stem if name is None else name
        array = _read(path)
        # Values beyond single precision become infinite, and are refused as such.
        with np.errstate(over="ignore"):
            kspace = torch.from_numpy(np.ascontiguousarray(array.T, np.complex64)).movedim(-1, 0)  # readout, time, ...
        _check_values(path, kspace)
        sampled = (kspace != 0).any(0)
        if array.ndim == SLICE:
            self.kspace = kspace.movedim(0, 1)[None]  # (1, time, readout, width)
            self.sampled = sampled[:, None].expand(self.kspace.shape[1:])
            self.names = [stem]
        else:
            self.kspace, self.sampled = _along_readout(kspace).mT, sampled.mT
            self.names = [f"{stem}/readout{pixel}" for pixel in range(len(kspace))]

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.kspace)

    def __getitem__(self, index: int) -> Sample:
        """Return a series."""
        return sample_of(Treated(self.kspace[index][None], self.sampled, None, 1.0), self.names[index])

    def strong(self, least_energy: float) -> list[int]:
        """Return the indices of the series that have at least this share of the energy of the strongest."""
        energy = self.kspace.abs().square().sum((1, 2, 3))
        return [int(index) for index in torch.nonzero(energy >= least_energy * energy.max())[:, 0]]


def _along_readout(kspace: Tensor) -> Tensor:
    """Transform k-space (readout, ...) along the readout, to pixels; centred and orthonormal."""
    shifted = torch.fft.ifft(torch.fft.ifftshift(kspace, dim=0), dim=0, norm="ortho")
    pixels: Tensor = torch.fft.fftshift(shifted, dim=0)
    return pixels


def _read(path: Path) -> npt.NDArray[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.absolute()}")
    try:
        found = matlab_arrays(path, {SLICE, VOLUME})
        array = _chosen(path, found)
        return array[(slice(None),) * len(array.shape)]
    except DataError:
        raise
    except Exception as error:  # readers raise errors of many unrelated classes
        raise DataError(f"{path}: cannot be read as a MATLAB file: {first_line(error)}") from error


def _chosen(path: Path, found: Mapping[str, LazyArray]) -> LazyArray:
    complex_ones = {
        name: array
        for name, array in found.items()
        if array.dtype.kind == "c" and len(array.shape) in {SLICE, VOLUME} and all(array.shape)
    }
    if len(complex_ones) == 1:
        return next(iter(complex_ones.values()))
    if USUAL_NAME in complex_ones:
        return complex_ones[USUAL_NAME]
    listing = ", ".join(f"{name} {array.shape} {array.dtype.name}" for name, array in found.items())
    expected = f"one complex array of {EXPECTED}, or one named {USUAL_NAME}"
    raise DataError(f"{path}: expected {expected}, found {listing[:300] or 'no array of numbers with so many dims'}")


def _check_values(path: Path, kspace: Tensor) -> None:
    largest = float(kspace.abs().max())
    if not SMALLEST < largest < LARGEST:
        raise DataError(
            f"{path}: the largest sample of k-space is {largest:.0e}, expected finite numbers that single precision "
            f"can work with, from {SMALLEST:.0e} to {LARGEST:.0e}"
        )
