"""Coil-combined series and coil sensitivities from fully sampled k-space of several coils."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.dynamic_mri.hdf5_cache import write_hdf5
from lowrank_unroll.errors import first_line
from lowrank_unroll.operators import CoilSensitivity, Fourier

# Part of the name of what is prepared: to be raised when preparation changes.
VERSION = 2
SERIES, SENSITIVITIES = "series", "coil_sensitivities"

CALIBRATION_WIDTH = 24


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
            coil_images = without_oversampling(Fourier().adjoint(kspace), readout)
            if self.virtual_coils is not None:
                coil_images = compress_coils(coil_images, self.virtual_coils)
            sensitivities = estimate_sensitivities(coil_images.mean(1))
            series = CoilSensitivity(sensitivities[None, :, None]).adjoint(coil_images[None])[0]
            yield f"{name}/{SERIES}", series.numpy()
            yield f"{name}/{SENSITIVITIES}", sensitivities.numpy()


def without_oversampling(images: Tensor, readout: int | None) -> Tensor:
    """The central part (..., readout, width) of images (..., height, width), which are all that if not taller."""
    height = images.shape[-2]
    readout = min(readout or height, height)
    first = height // 2 - readout // 2
    return images[..., first : first + readout, :]


def compress_coils(coil_images: Tensor, coils: int) -> Tensor:
    """Combine coils linearly to fewer virtual ones that keep as much of the energy as can be.

    Those are the leading principal components (Huang et al., Magn. Reson. Imaging 26, 2008).

    Args:
        coil_images: (coil, time, height, width), complex64.
        coils: how many virtual ones to keep, if there are as many.

    Returns:
        (virtual coil, time, height, width), complex64, in order of decreasing energy.
    """
    signals = coil_images.flatten(1)
    components = torch.linalg.eigh(signals @ signals.mH).eigenvectors.flip(-1)[:, :coils]
    return torch.einsum("cv,cthw->vthw", components.conj(), coil_images)


def estimate_sensitivities(coil_images: Tensor) -> Tensor:
    """Coil sensitivities from images of every coil, by ESPIRiT (Uecker et al., Magn. Reson. Med. 2014).

    Args:
        coil_images: averaged over time, (coil, height, width), complex64.

    Returns:
        (coil, height, width), complex64; the root sum of squares is 1 at every pixel.

    Raises:
        ModuleNotFoundError: if sigpy is not installed.
    """
    if len(coil_images) == 1:
        return torch.ones_like(coil_images)
    try:
        from sigpy.mri.app import EspiritCalib  # noqa: PLC0415  an optional extra, slow to import
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'coil sensitivities are estimated by sigpy: pip install "lowrank-unroll[mri]"'
        ) from error
    kspace: npt.NDArray[Any] = Fourier()(coil_images).numpy()
    width = min(CALIBRATION_WIDTH, *kspace.shape[1:])
    # A crop of 0 keeps the sensitivities also where there is little signal.
    sensitivities = EspiritCalib(kspace, calib_width=width, crop=0, show_pbar=False).run()
    return torch.from_numpy(np.asarray(sensitivities, np.complex64))
