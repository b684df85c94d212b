"""Receive coils: fewer of them, and what each sees."""

import numpy as np
import torch
from torch import Tensor

CALIBRATION_WIDTH = 24


def compression_matrix(coil_images: Tensor, coils: int) -> Tensor:
    """Return the matrix that combines coils to fewer virtual ones that keep as much of the energy as can be.

    Those are the leading principal components (Huang et al., Magn. Reson. Imaging 26, 2008).

    Args:
        coil_images: or k-space, (coil, ...), complex64.
        coils: how many virtual ones to keep, if there are as many.

    Returns:
        (virtual coil, coil), complex64, in order of decreasing energy.
    """
    signals = coil_images.flatten(1)
    components: Tensor = torch.linalg.eigh(signals @ signals.mH).eigenvectors.flip(-1)[:, :coils]
    return components.mH


def time_average(kspace: Tensor, sampled: Tensor) -> Tensor:
    """The mean of k-space over the frames that sample each place, zero where none does.

    Args:
        kspace: (coil, time, height, width), complex, zero where it is not sampled.
        sampled: (time, height, width), boolean.

    Returns:
        (coil, height, width).
    """
    mean: Tensor = kspace.sum(1) / sampled.sum(0).clamp(min=1)
    return mean


def calibration_width(sampled: Tensor) -> int:
    """How many rows and columns of the centre of k-space are sampled without a gap, at most 24.

    Args:
        sampled: (height, width), boolean.
    """
    height, width = sampled.shape
    for side in range(min(CALIBRATION_WIDTH, height, width), 0, -1):
        top, left = height // 2 - side // 2, width // 2 - side // 2
        if sampled[top : top + side, left : left + side].all():
            return side
    return 0


def estimate_sensitivities(kspace: Tensor, width: int = CALIBRATION_WIDTH) -> Tensor:
    """Coil sensitivities from k-space of every coil, by ESPIRiT (Uecker et al., Magn. Reson. Med. 2014).

    Args:
        kspace: averaged over time, (coil, height, width), complex64.
        width: rows and columns of its centre that are sampled without a gap, and taken for calibration.

    Returns:
        (coil, height, width), complex64; the root sum of squares is 1 at every pixel.

    Raises:
        ModuleNotFoundError: if sigpy is not installed.
    """
    if len(kspace) == 1:
        return torch.ones_like(kspace)
    try:
        from sigpy.mri.app import EspiritCalib  # noqa: PLC0415  an optional extra, slow to import
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'coil sensitivities are estimated by sigpy: pip install "lowrank-unroll[mri]"'
        ) from error
    width = min(width, *kspace.shape[1:])
    # A crop of 0 keeps the sensitivities also where there is little signal.
    sensitivities = EspiritCalib(kspace.numpy(), calib_width=width, crop=0, show_pbar=False).run()
    return torch.from_numpy(np.asarray(sensitivities, np.complex64))
