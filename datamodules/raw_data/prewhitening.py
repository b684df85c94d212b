"""Noise of receive coils: how strong and how much alike, and coils whose noise is white."""

import torch
from torch import Tensor

# Fewer samples than so many times the coils say too little about their covariance.
SAMPLES_PER_COIL = 4


def noise_covariance(noise: Tensor) -> Tensor:
    """The covariance E[n n^H] of the noise of receive coils.

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
    """The matrix that makes coils of noise with this covariance into ones whose noise is white, of variance 1.

    It is the inverse of the lower Cholesky factor L of the covariance, L L^H (Pruessmann et al., Magn. Reson. Med. 46,
    2001): the least squares of white coils are those that weigh noisy ones less.

    Args:
        covariance: (coil, coil), complex, Hermitian.

    Returns:
        (coil, coil), complex128, lower triangular.

    Raises:
        ValueError: if the covariance is not positive definite, such as that of a coil without any noise.
    """
    factor, failed = torch.linalg.cholesky_ex(covariance.to(torch.complex128))
    if failed or not factor.isfinite().all():
        raise ValueError("the noise covariance is not positive definite: is a coil without noise, or one there twice?")
    inverse: Tensor = torch.linalg.solve_triangular(factor, torch.eye(len(factor), dtype=factor.dtype), upper=False)
    return inverse


def mix_coils(matrix: Tensor, coils: Tensor) -> Tensor:
    """The coils (coil, ...) that a matrix (new coil, coil) makes of coils, in their dtype."""
    mixed: Tensor = torch.tensordot(matrix.to(coils.dtype), coils, dims=1)
    return mixed
