"""The kernels in C++, on several threads where that is faster."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from lowrank_unroll.linalg.batches import all_threads
from lowrank_unroll.linalg.derivatives import LoewnerMatrix, Point
from lowrank_unroll.linalg.native.cpp_library import library
from lowrank_unroll.linalg.native.requirements import contiguous, is_readable, needs_graph

# LAPACK with several threads is faster for larger single matrices.
MAX_COLUMNS = 256
MAX_ENTRIES = 2**16
MAX_PIXELS = 2**31 - 1  # of an image, since positions are numbers of 32 bits
SINGLE = {torch.float32, torch.complex64}
SERIES_DIMS = 4  # batch, time, height, width
WORK_OF_TOTAL_VARIATION = 30  # multiplications, or what takes as long, for each value


def supports(A: Tensor) -> bool:
    """Return whether matrices A, (..., m, n), are for :func:`gram_svd`, :func:`recompose`, :func:`first_derivative`."""
    m, n = A.shape[-2:]
    fits = A.device.type == "cpu" and A.dtype in SINGLE
    return fits and n <= MAX_COLUMNS and m * n <= MAX_ENTRIES and A.numel() > 0 and library() is not None


def supports_eigen(A: Tensor) -> bool:
    """Return whether matrices A, (..., n, n) in double precision, are for :func:`hermitian_eigen`."""
    return A.device.type == "cpu" and A.shape[-1] <= MAX_COLUMNS and library() is not None


def supports_soft_differences(S: Tensor, thresholds: Tensor) -> bool:
    """Return whether values and thresholds are for :func:`soft_differences`: in single precision, without a graph."""
    if any(tensor.device.type != "cpu" or tensor.dtype != torch.float32 for tensor in (S, thresholds)):
        return False
    if S.numel() == 0 or not is_readable(S, thresholds):
        return False
    if thresholds.shape not in ((1,), (*S.shape[:-1], 1)):
        return False
    return not needs_graph(S, thresholds) and library() is not None


def gram_svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return U, S and Vh; see :func:`lowrank_unroll.linalg.native.gram_svd`."""
    *batch, m, n = A.shape
    U, S, Vh = _empty_like(A), A.new_empty(*batch, n, dtype=A.real.dtype), A.new_empty(*batch, n, n)
    decompose = _function("gram_svd", A)

    def decompose_part(A: Tensor, U: Tensor, S: Tensor, Vh: Tensor) -> bool:
        return decompose(*_strided(A), U.data_ptr(), S.data_ptr(), Vh.data_ptr(), A.shape[0], m, n)

    if not all_threads(decompose_part, A.numel() * n, A.shape[:-2], A.resolve_neg(), U, S, Vh):
        raise LinAlgError("the eigenvalues of a matrix have not converged")
    return U, S, Vh


def hermitian_eigen(A: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors; see :func:`lowrank_unroll.linalg.native.hermitian_eigen`."""
    *batch, n, _ = A.shape
    A = contiguous(A)
    values, vectors = A.new_empty(A.shape[:-1], dtype=torch.float64), torch.empty_like(A)
    decompose = _function("hermitian_eigen", A)
    if not decompose(A.data_ptr(), values.data_ptr(), vectors.data_ptr(), math.prod(batch), n):
        raise LinAlgError("the eigenvalues of a matrix have not converged")
    return values, vectors


def recompose(point: Point, f: Tensor) -> Tensor:
    """Return U diag(f) Vh; see :func:`lowrank_unroll.linalg.native.recompose`."""
    m, n = point.U.shape[-2:]
    Y = _empty_like(point.U)
    multiply = _function("recompose", Y)

    def multiply_part(U: Tensor, f: Tensor, Vh: Tensor, Y: Tensor) -> bool:
        return multiply(U.data_ptr(), f.data_ptr(), Vh.data_ptr(), Y.data_ptr(), U.shape[0], m, n)

    all_threads(multiply_part, Y.numel() * n, Y.shape[:-2], contiguous(point.U), contiguous(f), contiguous(point.Vh), Y)
    return Y


def first_derivative(point: Point, loewner: LoewnerMatrix, E: Tensor) -> tuple[Tensor, Tensor]:
    """Return two derivatives; see :func:`lowrank_unroll.linalg.native.first_derivative`."""
    m, n = E.shape[-2:]
    inputs = [contiguous(tensor) for tensor in (*point[1:], *loewner)]
    derivative, diagonal = _empty_like(E), _empty_like(point.S)
    differentiate = _function("first_derivative", E)

    def differentiate_part(E: Tensor, *others: Tensor) -> bool:
        *inputs, derivative, diagonal = [tensor.data_ptr() for tensor in others]
        return differentiate(*inputs, *_strided(E), derivative, diagonal, E.shape[0], m, n)

    all_threads(differentiate_part, E.numel() * n, E.shape[:-2], E.resolve_neg(), *inputs, derivative, diagonal)
    return derivative, diagonal


def soft_differences(S: Tensor, thresholds: Tensor) -> Tensor:
    """Return divided differences; see :func:`lowrank_unroll.linalg.native.soft_differences`."""
    *batch, n = S.shape
    differences = S.new_empty(*batch, n, n)
    S, thresholds = contiguous(S), contiguous(thresholds.expand(*batch, 1))
    pointers = S.data_ptr(), thresholds.data_ptr(), differences.data_ptr()
    _function("soft_differences", S)(*pointers, math.prod(batch), n)
    return differences


def match_patches(image: Tensor, patch: int, stride: int, neighbors: int, radius: int) -> Tensor | None:
    """Return positions of similar patches; see :func:`lowrank_unroll.linalg.native.match_patches`."""
    batch, channels, *size = image.shape
    fits = image.device.type == "cpu" and image.dtype == torch.float32 and math.prod(size) <= MAX_PIXELS
    if not fits or image.numel() == 0 or not is_readable(image) or library() is None:
        return None
    image, match = contiguous(image.detach()), _function("match_patches", image)
    down, along = (math.ceil((side - patch) / stride) + 1 for side in size)
    rows, matches = torch.arange(batch * down), torch.empty(batch * down, along * neighbors, dtype=torch.int64)
    settings = (channels, *size, patch, stride, neighbors, radius)

    def match_part(rows: Tensor, matches: Tensor) -> bool:
        return match(image.data_ptr(), *settings, int(rows[0]), len(rows), matches.data_ptr())

    work = matches.numel() // neighbors * (2 * radius + 1) ** 2 * channels * patch**2
    all_threads(match_part, work, rows.shape, rows, matches)
    return matches.reshape(batch, down * along, neighbors)


def total_variation_step(
    series: Tensor, dual: Tensor, weights: Tensor, step_size: float
) -> tuple[Tensor, Tensor] | None:
    """Return the next series and dual; see :func:`lowrank_unroll.linalg.native.total_variation_step`."""
    inputs = series, dual, weights
    fits = series.ndim == SERIES_DIMS and dual.shape == (3, *series.shape) and weights.shape == (3, len(series))
    fits = fits and all(tensor.device.type == "cpu" for tensor in inputs) and series.numel() > 0
    fits = fits and series.dtype == dual.dtype and series.dtype in SINGLE and weights.dtype == torch.float32
    if not fits or needs_graph(*inputs) or not is_readable(*inputs) or library() is None:
        return None
    series, dual, weights = map(contiguous, inputs)
    after, dual_after, advance = _empty_like(series), _empty_like(dual), _function("total_variation", series)
    pointers = [tensor.data_ptr() for tensor in (series, dual, weights, after, dual_after)]

    def advance_part(frames: Tensor) -> bool:
        return advance(*pointers, step_size, *series.shape, int(frames[0]), int(frames[-1]) + 1)

    frames = torch.arange(series.shape[0] * series.shape[1], device="cpu")
    all_threads(advance_part, WORK_OF_TOTAL_VARIATION * series.numel(), frames.shape, frames)
    return after, dual_after


def _empty_like(tensor: Tensor) -> Tensor:
    # Takes half the time of new_empty.
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _strided(A: Tensor) -> tuple[int, int, int, int, bool]:
    return A.data_ptr(), *A.stride(), A.is_conj()  # type: ignore[return-value]


def _function(name: str, A: Tensor) -> Callable[..., bool]:
    function: Callable[..., bool] = getattr(library(), f"{name}_complex" if A.is_complex() else f"{name}_real")
    return function
