"""Coil-combined series and coil sensitivities from fully sampled k-space of several coils."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from datamodules.dynamic_mri.hdf5_cache import write_hdf5
from datamodules.raw_data.coils import compress_coils, estimate_sensitivities
from datamodules.raw_data.readout import without_oversampling
from lowrank_unroll.errors import first_line
from lowrank_unroll.operators import CoilSensitivity, Fourier

# Part of the name of what is prepared: to be raised when preparation changes.
VERSION = 4
SERIES, SENSITIVITIES = "series", "coil_sensitivities"


class Scan(NamedTuple):
    """What was measured of one slice: its name, and k-space (coil, time, kx, ky), complex64 and centred.

    The readout is how many pixels of the image along kx are without oversampling; None for all.
    """

    name: str
    kspace: Tensor
    readout: int | None = None


@dataclass(frozen=True)
class Preparation:
    """How raw files become series and coil sensitivities.

    Args:
        virtual_coils: compress the coils to so many, see :func:`compress_coils`; None keeps them all.

    Raises:
        ValueError: if there is not at least one virtual coil.
    """

    virtual_coils: int | None = None

    def __post_init__(self) -> None:
        if self.virtual_coils is not None and self.virtual_coils < 1:
            raise ValueError(f"virtual_coils is {self.virtual_coils}, expected at least 1, or null to keep all coils")

    @property
    def name(self) -> str:
        """Everything that what is prepared depends on, as part of the name of a file."""
        return f"version{VERSION}" + ("" if self.virtual_coils is None else f"_coils{self.virtual_coils}")

    def __call__(self, read: Callable[[Path], Iterator[Scan]], raw: Path, prepared: Path) -> None:
        """Write every scan of a raw file into an HDF5 file, whole or not at all.

        Each is a group with the series (time, height, width), combined from the coils, in the units of the raw file,
        and the coil_sensitivities (coil, height, width), both complex64. The height is the readout, the width the phase
        encoding. Everything has a checksum, which HDF5 compares when it reads.

        Args:
            read: yields the scans of the raw file.
            raw: the file to read.
            prepared: the file to write.

        Raises:
            ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
            OSError: if a file cannot be read or written, such as when the disk is full; names both.
        """
        try:
            write_hdf5(prepared, self._arrays(read(raw)))
        except OSError as error:
            raise OSError(f"{raw} was not prepared: {first_line(error)}") from error

    def _arrays(self, scans: Iterable[Scan]) -> Iterator[tuple[str, npt.NDArray[np.complex64]]]:
        for name, kspace, readout in scans:
            whole = Fourier().adjoint(kspace)
            if self.virtual_coils is not None:
                whole = compress_coils(whole, self.virtual_coils)
            # With the oversampling, for where the body goes on beyond the image there would be two sets of them.
            sensitivities = without_oversampling(estimate_sensitivities(Fourier()(whole.mean(1))), readout)
            coil_images = without_oversampling(whole, readout)
            series = CoilSensitivity(sensitivities[None, :, None]).adjoint(coil_images[None])[0]
            yield f"{name}/{SERIES}", series.numpy()
            yield f"{name}/{SENSITIVITIES}", sensitivities.numpy()
