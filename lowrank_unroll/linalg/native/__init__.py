"""Compiled code for small matrices: one call on the CPU or one launch on a GPU, where PyTorch has tens of operations.

It is compiled when it is first needed. Functions return None for what it does not take: large matrices, tensors that
are traced or have no memory of their own, other devices and precisions, and everything where there is no compiler.
"""

import torch
from torch import Tensor

from lowrank_unroll.linalg.derivatives import Point, Table
from lowrank_unroll.linalg.native import on_cpu, on_gpu
from lowrank_unroll.linalg.native.memory import readable

Factors = tuple[Tensor, Tensor, Tensor]
DOUBLE = {torch.float64, torch.complex128}


def takes(A: Tensor) -> bool:
    """Return whether :func:`factors` and :func:`first_derivative` take matrices A, (..., m, n), tall or square."""
    return readable(A) and (on_cpu.takes(A) or on_gpu.takes(A))


def factors(A: Tensor) -> Factors | None:
    """U, S and Vh of matrices in single precision, from the eigenvalues of their Gram matrices in double.

    Args:
        A: shape (..., m, n), m >= n.

    Returns:
        U (..., m, n), S (..., n) descending, Vh (..., n, n).

    Raises:
        LinAlgError: on the CPU, if a matrix holds NaN or infinity; on a GPU all its factors are NaN.
    """
    if not takes(A):
        return None
    return on_cpu.factors(A) if A.device.type == "cpu" else on_gpu.factors(A)


def spectral(point: Point, f: Tensor) -> Tensor | None:
    """Y = U diag(f) Vh, of which columns with f = 0 take no time; None on a GPU."""
    fits = f.shape == point.S.shape and f.dtype == point.S.dtype  # which a user's own shrinkage need not return
    return on_cpu.spectral(point, f) if fits and readable(point.U, f, point.Vh) and on_cpu.takes(point.U) else None


def first_derivative(point: Point, tabulated: Table, E: Tensor) -> tuple[Tensor, Tensor] | None:
    """The derivative of Y = U f(S) Vh in directions E, (..., m, n), and Re diag(U^H E V), (..., n)."""
    if not (readable(E, *point[1:], *tabulated) and _fits(tabulated, point)):
        return None
    if on_cpu.takes(E):
        return on_cpu.first_derivative(point, tabulated, E)
    return on_gpu.first_derivative(point, tabulated, E) if on_gpu.takes(E) else None


def hermitian_eigen(A: Tensor) -> tuple[Tensor, Tensor] | None:
    """Eigenvalues, ascending, and eigenvectors as columns of Hermitian matrices (..., n, n) in double precision."""
    if A.dtype not in DOUBLE or A.numel() == 0 or A.shape[-2] != A.shape[-1] or not readable(A):
        return None
    return on_cpu.hermitian_eigen(A) if A.device.type == "cpu" else on_gpu.hermitian_eigen(A)


def excess_differences(S: Tensor, thresholds: Tensor) -> Tensor | None:
    """The divided differences of max(s - threshold, 0) at values S, (..., n), of thresholds (..., 1); (..., n, n)."""
    return on_cpu.excess_differences(S, thresholds)


def match_patches(image: Tensor, patch: int, stride: int, neighbours: int, radius: int) -> Tensor | None:
    """Find similar patches; see :func:`lowrank_unroll.linalg.match_patches`."""
    return on_cpu.match_patches(image, patch, stride, neighbours, radius)


def _fits(tabulated: Table, point: Point) -> bool:
    """Return whether a table fits a point; that of a user's own shrinkage may have another shape or dtype."""
    f, differences = tabulated
    shapes_fit = f.shape == point.S.shape and differences.shape == point.Vh.shape
    return shapes_fit and f.dtype == differences.dtype == point.S.dtype
