"""Preparation of a scanner's raw file: its series in k-space of their coils, or combined from them."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from datamodules.loading.caches import write_hdf5
from datamodules.measured.coil_treatment import Coils
from lowrank_unroll.errors import first_line
from lowrank_unroll.operators import CoilSensitivity, Fourier
from lowrank_unroll.sample import Sample

# Part of the names of prepared files: to be raised when preparation changes.
VERSION = 5
SERIES, KSPACE, SAMPLED, SENSITIVITIES = "series", "kspace", "sampled", "coil_sensitivities"

Reader = Callable[[Path, Coils], Iterator[Sample]]  # yields the series of a raw file, whose coils it treats


def prepare_kspace(read: Reader, coils: Coils, raw: Path, prepared: Path) -> None:
    """Write every series of a raw file, as its coils measured it, into an HDF5 file, whole or not at all.

    Each is a group with kspace (coil, time, height, width), complex64, in the units of the raw file; sampled (time,
    height, width), boolean; and coil_sensitivities (coil, height, width), complex64, 1 of a single coil. The height is
    the readout. Everything has a checksum, which HDF5 compares when it reads.

    Args:
        read: yields the series of a raw file.
        coils: treatment of the coils.
        raw: the file to read.
        prepared: the file to write.

    Raises:
        ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
        DataError: if the raw file cannot be read.
        OSError: if the prepared file cannot be written, such as when the disk is full; names both.
    """
    _write(prepared, raw, (array for sample in read(raw, coils) for array in _kspace_arrays(sample)))


def prepare_series(read: Reader, coils: Coils, raw: Path, prepared: Path) -> None:
    """Write every series of a raw file, combined from its coils, into an HDF5 file, whole or not at all.

    Each is a group with the series (time, height, width) in the units of the raw file and the coil_sensitivities (coil,
    height, width), both complex64. Arguments and errors are those of :func:`prepare_kspace`.
    """
    _write(prepared, raw, (array for sample in read(raw, coils) for array in _series_arrays(sample)))


def cache_key(kind: str, coils: Coils) -> str:
    """Return everything that prepared files of a kind depend on, as a part of their names."""
    values = [getattr(coils, field.name) for field in fields(coils)]
    contents = [value.read_bytes() if isinstance(value, Path) else repr(value).encode() for value in values]
    return f"{kind}{VERSION}_{hashlib.sha256(b'|'.join(contents)).hexdigest()[:8]}"


def _write(prepared: Path, raw: Path, arrays: Iterator[tuple[str, npt.NDArray[Any]]]) -> None:
    try:
        write_hdf5(prepared, arrays)
    except OSError as error:
        raise OSError(f"{raw} was not prepared: {first_line(error)}") from error


def _kspace_arrays(sample: Sample) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    group = _group(sample)
    yield f"{group}/{KSPACE}", (sample.measurement * sample.scale).numpy()
    yield f"{group}/{SAMPLED}", sample.mask[0].numpy()
    yield f"{group}/{SENSITIVITIES}", _sensitivities(sample)[:, 0].numpy()


def _series_arrays(sample: Sample) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    group, sensitivities = _group(sample), _sensitivities(sample)
    coil_images = Fourier().adjoint(sample.measurement * sample.scale)
    yield f"{group}/{SERIES}", CoilSensitivity(sensitivities[None]).adjoint(coil_images[None])[0].numpy()
    yield f"{group}/{SENSITIVITIES}", sensitivities[:, 0].numpy()


def _group(sample: Sample) -> str:
    return str(sample.name).rpartition("/")[2]


def _sensitivities(sample: Sample) -> torch.Tensor:
    """Return the sensitivities (coil, 1, height, width), 1 of a single coil."""
    maps = sample.coil_sensitivities
    return torch.ones_like(sample.measurement)[:, :1] if maps is None else maps
