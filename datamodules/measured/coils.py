"""Receive coils: prewhitening, compression and sensitivities."""

import numpy as np
import torch
from torch import Tensor

from lowrank_unroll.extras import import_extra

# Fewer samples of noise for each coil give too poor an estimate of the covariance.
SAMPLES_PER_COIL = 4


def noise_covariance(noise: Tensor) -> Tensor:
    """Return the covariance E[n n^H] of the noise of receive coils.

    Args:
        noise: (coil, sample), complex, of a measurement without signal.

    Returns:
        (coil, coil), complex128, Hermitian.

    Raises:
        ValueError: if there are fewer than four samples for each coil.
    """
    coils, samples = noise.shape
    if samples < SAMPLES_PER_COIL * coils:
        raise ValueError(f"{samples} samples of noise are too few for the covariance of {coils} coils.")
    wide = noise.to(torch.complex128)
    return wide @ wide.mH / samples


def whitening_matrix(covariance: Tensor) -> Tensor:
    """Return the matrix that whitens the noise of coils with this covariance, to variance 1.

    It is the inverse of the lower Cholesky factor L of the covariance, L L^H (Pruessmann et al., Magn. Reson. Med. 46,
    2001): least squares of whitened coils weigh noisy coils less.

    Args:
        covariance: (coil, coil), complex, Hermitian.

    Returns:
        (coil, coil), complex128, lower triangular.

    Raises:
        ValueError: if the covariance is not positive definite, such as with a coil without noise.
    """
    factor, failed = torch.linalg.cholesky_ex(covariance.to(torch.complex128))
    if failed or not factor.isfinite().all():
        raise ValueError("the noise covariance is not positive definite: is a coil without noise, or duplicated?")
    inverse: Tensor = torch.linalg.solve_triangular(factor, torch.eye(len(factor), dtype=factor.dtype), upper=False)
    return inverse


def mix_coils(matrix: Tensor, coils: Tensor) -> Tensor:
    """Multiply coils (coil, ...) by a matrix (new coil, coil), in the dtype of the coils."""
    mixed: Tensor = torch.tensordot(matrix.to(coils.dtype), coils, dims=1)
    return mixed


CALIBRATION_WIDTH = 24


def compression_matrix(coil_images: Tensor, coils: int) -> Tensor:
    """Return the matrix that compresses coils to fewer virtual ones, which keep as much energy as possible.

    They are the leading principal components (Huang et al., Magn. Reson. Imaging 26, 2008).

    Args:
        coil_images: or k-space, (coil, ...), complex64.
        coils: number of virtual coils, at most that of the coils.

    Returns:
        (virtual coil, coil), complex64, in order of decreasing energy.
    """
    signals = coil_images.flatten(1)
    components: Tensor = torch.linalg.eigh(signals @ signals.mH).eigenvectors.flip(-1)[:, :coils]
    return components.mH


def time_average(kspace: Tensor, sampled: Tensor) -> Tensor:
    """Return the mean of k-space over the frames that sample each position, zero where none does.

    Args:
        kspace: (coil, time, height, width), complex, zero where it is not sampled.
        sampled: (time, height, width), boolean.

    Returns:
        (coil, height, width).
    """
    mean: Tensor = kspace.sum(1) / sampled.sum(0).clamp(min=1)
    return mean


def calibration_width(sampled: Tensor) -> int:
    """Return the side of the largest fully sampled square at the centre of k-space, at most 24.

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
    """Estimate coil sensitivities from k-space of every coil, by ESPIRiT (Uecker et al., Magn. Reson. Med. 2014).

    Args:
        kspace: averaged over time, (coil, height, width), complex64.
        width: side of the fully sampled square at the centre of k-space that is used for calibration.

    Returns:
        (coil, height, width), complex64; the root sum of squares is 1 at every pixel.

    Raises:
        ModuleNotFoundError: if sigpy is not installed.
    """
    if len(kspace) == 1:
        return torch.ones_like(kspace)
    calibration = import_extra("sigpy.mri.app", "mri", "the estimation of coil sensitivities")
    width = min(width, *kspace.shape[1:])
    # With crop 0 the sensitivities are not set to zero where there is little signal.
    sensitivities = calibration.EspiritCalib(kspace.numpy(), calib_width=width, crop=0, show_pbar=False).run()
    return torch.from_numpy(np.asarray(sensitivities, np.complex64))
