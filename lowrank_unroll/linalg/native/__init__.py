"""Kernels for batches of small matrices: one call of C++ or one launch of CUDA instead of tens of operations.

They are compiled when they are first needed. PyTorch computes what they do not support: large matrices, tensors that
are traced or have no memory of their own, other devices and precisions, and everything where there is no compiler.
"""

import torch
from torch import Tensor

from lowrank_unroll.linalg import derivatives
from lowrank_unroll.linalg.derivatives import LoewnerMatrix, Point
from lowrank_unroll.linalg.native import on_cpu, on_gpu, reference
from lowrank_unroll.linalg.native.requirements import is_readable

DOUBLE = {torch.float64, torch.complex128}


def supports(A: Tensor) -> bool:
    """Return whether compiled code computes :func:`gram_svd` and :func:`first_derivative` of A, (..., m, n), m >= n."""
    return is_readable(A) and (on_cpu.supports(A) or on_gpu.supports(A))


def gram_svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return U, S and Vh of matrices in single precision, from the eigenvalues of their Gram matrices in double.

    Args:
        A: shape (..., m, n), m >= n.

    Returns:
        U (..., m, n), S (..., n) descending, Vh (..., n, n).

    Raises:
        LinAlgError: on the CPU, if a matrix holds NaN or infinity; on a GPU all its factors are NaN.
    """
    if not supports(A):
        return reference.gram_svd(A, hermitian_eigen)
    return on_cpu.gram_svd(A) if A.device.type == "cpu" else on_gpu.gram_svd(A)


def hermitian_eigen(A: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors of Hermitian matrices.

    Args:
        A: shape (..., n, n), float64 or complex128.

    Returns:
        Eigenvalues (..., n), ascending, float64, and eigenvectors as columns (..., n, n).

    Raises:
        LinAlgError: if a matrix holds NaN or infinity; on a GPU they may be NaN instead.
    """
    if A.dtype in DOUBLE and A.numel() > 0 and A.shape[-2] == A.shape[-1] and is_readable(A):
        if on_cpu.supports_eigen(A):
            return on_cpu.hermitian_eigen(A)
        if on_gpu.supports_eigen(A):
            return on_gpu.hermitian_eigen(A)
    return reference.hermitian_eigen(A)


def recompose(point: Point, f: Tensor) -> Tensor:
    """Return Y = U diag(f) Vh; compiled code, on the CPU alone, skips columns with f = 0."""
    # The values of a user's own shrinkage may have another shape or dtype.
    fits = f.shape == point.S.shape and f.dtype == point.S.dtype
    if fits and is_readable(point.U, f, point.Vh) and on_cpu.supports(point.U):
        return on_cpu.recompose(point, f)
    return derivatives.recompose(point, f)


def first_derivative(point: Point, loewner: LoewnerMatrix, E: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivative of Y = U f(S) Vh in directions E, (..., m, n), and Re diag(U^H E V), (..., n)."""
    f, differences = loewner
    # Those of a user's own shrinkage may have another shape or dtype.
    fits = f.shape == point.S.shape and differences.shape == point.Vh.shape
    fits = fits and f.dtype == differences.dtype == point.S.dtype
    if fits and is_readable(E, *point[1:], *loewner):
        if on_cpu.supports(E):
            return on_cpu.first_derivative(point, loewner, E)
        if on_gpu.supports(E):
            return on_gpu.first_derivative(point, loewner, E)
    return reference.first_derivative(point, loewner, E)


def soft_differences(S: Tensor, threshold: Tensor) -> Tensor:
    """Return the divided differences of max(s - threshold, 0), each in [0, 1] also after rounding.

    Compiled code, on the CPU alone, computes those that need no gradient.

    Args:
        S: singular values, shape (..., n).
        threshold: shape (..., 1), or (1,) for all matrices.

    Returns:
        Shape (..., n, n).
    """
    if on_cpu.supports_soft_differences(S, threshold):
        return on_cpu.soft_differences(S, threshold)
    return reference.soft_differences(S, threshold)


def match_patches(image: Tensor, patch: int, stride: int, neighbors: int, radius: int) -> Tensor | None:
    """Return similar patches, as :func:`lowrank_unroll.prox.match_patches`; None if there is no kernel for it."""
    return on_cpu.match_patches(image, patch, stride, neighbors, radius)


def total_variation_step(
    series: Tensor, dual: Tensor, weights: Tensor, step_size: float
) -> tuple[Tensor, Tensor] | None:
    """Take a step, as :func:`lowrank_unroll.prox.total_variation_step`; None if there is no kernel for it.

    Compiled code, on the CPU alone, computes those that need no gradient.
    """
    return on_cpu.total_variation_step(series, dual, weights, step_size)
