"""K-space of all coils and their sensitivities from raw files, as it is reconstructed."""

import hashlib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from datamodules.dynamic_mri.hdf5_cache import write_hdf5
from datamodules.dynamic_mri.raw_series import Coils, RawSeries
from lowrank_unroll.errors import first_line

# Part of the name of what is prepared: to be raised when preparation changes.
VERSION = 1
KSPACE, SAMPLED, SENSITIVITIES = "kspace", "sampled", "coil_sensitivities"


def prepare_kspace(coils: Coils, raw: Path, prepared: Path) -> None:
    """Write every series of a raw file, see :class:`RawSeries`, into an HDF5 file, whole or not at all.

    Each is a group with kspace (coil, time, height, width), complex64, in the units of the raw file; where it is
    sampled (time, height, width), boolean; and coil_sensitivities (coil, height, width), complex64, 1 of a single coil.
    The height is the readout. Everything has a checksum, which HDF5 compares when it reads.

    Args:
        coils: how they are treated.
        raw: the file to read.
        prepared: the file to write.

    Raises:
        ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
        DataError: if the raw file cannot be read.
        OSError: if the other cannot be written, such as when the disk is full; names both.
    """
    try:
        write_hdf5(prepared, _arrays(RawSeries(raw, coils)))
    except OSError as error:
        raise OSError(f"{raw} was not prepared: {first_line(error)}") from error


def name_of_preparation(coils: Coils) -> str:
    """Everything that what is prepared depends on, as part of the name of a file."""
    values = [getattr(coils, field.name) for field in fields(coils)]
    contents = [value.read_bytes() if isinstance(value, Path) else repr(value).encode() for value in values]
    return f"kspace{VERSION}_{hashlib.sha256(b'|'.join(contents)).hexdigest()[:8]}"


def _arrays(series: RawSeries) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    for index, name in enumerate(series.names):
        sample = series[index]
        kspace, seen = sample.measurement * sample.scale, sample.coil_sensitivities
        group = name.rpartition("/")[2]
        yield f"{group}/{KSPACE}", kspace.numpy()
        yield f"{group}/{SAMPLED}", sample.mask[0].numpy()
        yield f"{group}/{SENSITIVITIES}", (torch.ones_like(kspace) if seen is None else seen)[:, 0].numpy()
