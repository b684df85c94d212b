"""C++ for small matrices on the CPU, shared among threads where that is faster."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from lowrank_unroll.linalg.batches import shared
from lowrank_unroll.linalg.derivatives import Point, Table
from lowrank_unroll.linalg.native.cpp_library import library
from lowrank_unroll.linalg.native.memory import plain, readable

# Larger single matrices are faster with several threads of LAPACK.
COLUMNS = 256
ENTRIES = 2**16
PIXELS = 2**31 - 1  # of an image, whose positions are numbers of 32 bits


def takes(A: Tensor) -> bool:
    """Return whether :func:`factors` and :func:`first_derivative` take matrices A, (..., m, n)."""
    m, n = A.shape[-2:]
    fits = A.device.type == "cpu" and A.dtype in {torch.float32, torch.complex64}
    return fits and n <= COLUMNS and m * n <= ENTRIES and A.numel() > 0 and library() is not None


def factors(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and Vh; see :func:`lowrank_unroll.linalg.native.factors`."""
    *batch, m, n = A.shape
    U, S, Vh = _empty_like(A), A.new_empty(*batch, n, dtype=A.real.dtype), A.new_empty(*batch, n, n)
    decompose = _function("gram", A)

    def of_part(A: Tensor, U: Tensor, S: Tensor, Vh: Tensor) -> bool:
        return decompose(*_strided(A), U.data_ptr(), S.data_ptr(), Vh.data_ptr(), A.shape[0], m, n)

    if not all(shared(of_part, A.numel() * n, A.shape[:-2], A.resolve_neg(), U, S, Vh)):
        raise LinAlgError("the eigenvalues of a matrix have not converged")
    return U, S, Vh


def spectral(point: Point, f: Tensor) -> Tensor:
    """U diag(f) Vh; see :func:`lowrank_unroll.linalg.native.spectral`."""
    m, n = point.U.shape[-2:]
    Y = _empty_like(point.U)
    multiply = _function("spectral", Y)

    def of_part(U: Tensor, f: Tensor, Vh: Tensor, Y: Tensor) -> bool:
        return multiply(U.data_ptr(), f.data_ptr(), Vh.data_ptr(), Y.data_ptr(), U.shape[0], m, n)

    shared(of_part, Y.numel() * n, Y.shape[:-2], plain(point.U), plain(f), plain(point.Vh), Y)
    return Y


def first_derivative(point: Point, tabulated: Table, E: Tensor) -> tuple[Tensor, Tensor]:
    """A derivative and a diagonal; see :func:`lowrank_unroll.linalg.native.first_derivative`."""
    m, n = E.shape[-2:]
    known = [plain(tensor) for tensor in (*point[1:], *tabulated)]
    derivative, diagonal = _empty_like(E), _empty_like(point.S)
    differentiate = _function("derivative", E)

    def of_part(E: Tensor, *others: Tensor) -> bool:
        *known, derivative, diagonal = [tensor.data_ptr() for tensor in others]
        return differentiate(*known, *_strided(E), derivative, diagonal, E.shape[0], m, n)

    shared(of_part, E.numel() * n, E.shape[:-2], E.resolve_neg(), *known, derivative, diagonal)
    return derivative, diagonal


def hermitian_eigen(A: Tensor) -> tuple[Tensor, Tensor] | None:
    """Eigenvalues and eigenvectors; see :func:`lowrank_unroll.linalg.native.hermitian_eigen`."""
    *batch, n, _ = A.shape
    if n > COLUMNS or library() is None:
        return None
    A = plain(A)
    values, vectors = A.new_empty(A.shape[:-1], dtype=torch.float64), torch.empty_like(A)
    if not _function("eigen", A)(A.data_ptr(), values.data_ptr(), vectors.data_ptr(), math.prod(batch), n):
        raise LinAlgError("the eigenvalues of a matrix have not converged")
    return values, vectors


def excess_differences(S: Tensor, thresholds: Tensor) -> Tensor | None:
    """Divided differences; see :func:`lowrank_unroll.linalg.native.excess_differences`."""
    *batch, n = S.shape
    one_each = thresholds.shape == (*batch, 1)
    fits = (one_each or thresholds.shape == (1,)) and S.numel() > 0 and _are_without_graph(S, thresholds)
    if not fits or library() is None:
        return None
    differences = S.new_empty(*batch, n, n)
    S, thresholds = plain(S), plain(thresholds if one_each else thresholds.expand(*batch, 1))
    _function("excess", S)(S.data_ptr(), thresholds.data_ptr(), differences.data_ptr(), math.prod(batch), n)
    return differences


def match_patches(image: Tensor, patch: int, stride: int, neighbours: int, radius: int) -> Tensor | None:
    """Positions of similar patches; see :func:`lowrank_unroll.linalg.native.match_patches`."""
    batch, channels, *size = image.shape
    fits = image.device.type == "cpu" and image.dtype == torch.float32 and math.prod(size) <= PIXELS
    if not fits or image.numel() == 0 or not readable(image) or library() is None:
        return None
    image, match = plain(image.detach()), _function("match", image)
    down, along = (math.ceil((side - patch) / stride) + 1 for side in size)
    rows, matches = torch.arange(batch * down), torch.empty(batch * down, along * neighbours, dtype=torch.int64)
    settings = (channels, *size, patch, stride, neighbours, radius)

    def of_part(rows: Tensor, matches: Tensor) -> bool:
        return match(image.data_ptr(), *settings, int(rows[0]), len(rows), matches.data_ptr())

    compared = matches.numel() // neighbours * (2 * radius + 1) ** 2 * channels * patch**2
    shared(of_part, compared, rows.shape, rows, matches)
    return matches.reshape(batch, down * along, neighbours)


def _are_without_graph(*values: Tensor) -> bool:
    """Return whether these are single-precision tensors on the CPU that no graph records."""
    if any(value.device.type != "cpu" or value.dtype != torch.float32 for value in values) or not readable(*values):
        return False
    if forward_ad._current_level >= 0:  # noqa: SLF001  no public name
        return False
    return not (torch.is_grad_enabled() and any(value.requires_grad for value in values))


def _empty_like(tensor: Tensor) -> Tensor:
    # Half the time of new_empty.
    return torch.empty_like(tensor, memory_format=torch.contiguous_format)


def _strided(A: Tensor) -> tuple[int, int, int, int, bool]:
    return A.data_ptr(), *A.stride(), A.is_conj()  # type: ignore[return-value]


def _function(name: str, A: Tensor) -> Callable[..., bool]:
    function: Callable[..., bool] = getattr(library(), f"{name}_complex" if A.is_complex() else f"{name}_real")
    return function
