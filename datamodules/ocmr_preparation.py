"""Coil-combined series and coil sensitivities from raw data of a scanner, as OCMR publishes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.ismrmrd import DIMS, KSpace, read_ismrmrd
from lowrank_unroll.files import written_whole
from lowrank_unroll.operators import CoilSensitivity, Fourier

# Part of the name of what is prepared: to be raised when preparation changes.
VERSION = 1
ALWAYS_NAMED = ("slice", "average")
SERIES, SENSITIVITIES = "series", "coil_sensitivities"

CALIBRATION_WIDTH = 24
# A crop of 16 x 128 x 128 reads few chunks beyond its own.
CHUNK = (8, 64, 64)


def prepare(raw: Path, prepared: Path) -> None:
    """Write every slice and average of a raw file into an HDF5 file, whole or not at all.

    Each is a group `slice0_average0` with the series (time, height, width), combined from the coils, in the units of
    the raw file, and the coil_sensitivities (coil, height, width), both complex64. The height is the readout, without
    its oversampling; the width is the phase encoding.

    Raises:
        ISMRMRDError: if the raw file cannot be assembled.
        ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
    """
    scan = read_ismrmrd(raw)
    with written_whole(prepared) as temporary, h5py.File(temporary, "w") as content:
        for name, kspace in items(scan):
            coil_images = without_oversampling(Fourier().adjoint(kspace), scan.header.recon.matrix_size[0])
            sensitivities = estimate_sensitivities(coil_images.mean(1))
            series = CoilSensitivity(sensitivities[None, :, None]).adjoint(coil_images[None])[0]
            for key, array in ((SERIES, series), (SENSITIVITIES, sensitivities)):
                chunks = tuple(min(pair) for pair in zip(array.shape, CHUNK, strict=True))
                content.create_dataset(f"{name}/{key}", data=array.numpy(), chunks=chunks)


def items(scan: KSpace) -> Iterator[tuple[str, Tensor]]:
    """K-space (coil, time, kx, ky) of each slice and average, and of whatever else there are several of, by name."""
    outer = DIMS[: DIMS.index("coil")]
    sizes = dict(zip(outer, scan.kspace.shape, strict=False))
    others = [dim for dim in outer if dim not in ALWAYS_NAMED and sizes[dim] > 1]
    for index in np.ndindex(*sizes.values()):
        if scan.sampled[index].any():
            name = "_".join(f"{dim}{index[outer.index(dim)]}" for dim in (*ALWAYS_NAMED, *others))
            yield name, torch.from_numpy(np.ascontiguousarray(scan.kspace[index]))


def without_oversampling(images: Tensor, readout: int) -> Tensor:
    """The central part (..., readout, width) of images (..., height, width), which are all that if not taller."""
    height = images.shape[-2]
    first = max(0, height // 2 - readout // 2)
    return images[..., first : first + min(readout, height), :]


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
