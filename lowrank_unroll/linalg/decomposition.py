"""Singular value decompositions of batches of matrices, without gradients."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from lowrank_unroll.linalg import native
from lowrank_unroll.linalg.autograd import is_tracing
from lowrank_unroll.linalg.batches import map_threads
from lowrank_unroll.linalg.native.reference import check_convergence

# cuSOLVER decomposes matrices of up to so many rows and columns as a batch, and larger ones in turn.
MAX_BATCHED_ON_GPU = 32

Factors = tuple[Tensor, Tensor, Tensor]
Decomposition = Callable[[Tensor], Factors]


def check_matrices(A: Tensor) -> None:
    """Raise an error unless A is a batch of floating-point matrices.

    Raises:
        TypeError: if A is not a floating-point tensor.
        ValueError: if it has fewer than two dims.
    """
    if not (A.is_floating_point() or A.is_complex()):
        raise TypeError(f"expected floating-point matrices, got {A.dtype}; convert with A.float()")
    if A.ndim < 2:  # noqa: PLR2004
        raise ValueError(f"expected matrices, shape (..., m, n), got shape {tuple(A.shape)}")


def reduced_svd(A: Tensor) -> Factors:
    """Return the reduced singular value decomposition.

    On the CPU ``torch.linalg.svd`` decomposes one matrix of a batch after the other, each too small for several
    threads; here every thread takes a part of the batch.

    Args:
        A: matrices, shape (..., m, n), float32, float64, complex64 or complex128; k = min(m, n) below.

    Returns:
        U (..., m, k), S (..., k) descending, Vh (..., k, n).

    Raises:
        ValueError: if a matrix holds NaN or infinity; names its index in the batch. (Some solvers on a GPU do not
            check: then all factors of such a matrix are NaN.)
    """
    return _svd_operator(A) if is_tracing(A) else _with_index_in_error(A, _threaded_svd)


def gram_svd(A: Tensor) -> Factors:
    """Return the singular value decomposition of tall or square matrices, m >= n.

    In single precision the factors come from the eigenvalues of the Gram matrix A^H A in double precision, which is
    faster and more accurate than an SVD: S is right to 1e-8 of the largest, where the SVD in single precision leaves
    1e-7. Smaller values come out as 1.5e-8 of the largest; U = A V / S is orthonormal but for their columns, and
    U diag(S) Vh is A all the same. In double precision this is :func:`reduced_svd`.

    Raises:
        ValueError: as :func:`reduced_svd`.
    """
    if A.dtype not in {torch.float32, torch.complex64}:
        return reduced_svd(A)
    return _gram_operator(A) if is_tracing(A) else _with_index_in_error(A, native.gram_svd)


def _threaded_svd(A: Tensor) -> Factors:
    U, S, Vh = map_threads(_svd, A)
    check_convergence(S)
    return U, S, Vh


def _svd(A: Tensor) -> Factors:
    if A.device.type != "cuda" or min(A.shape[-2:]) <= MAX_BATCHED_ON_GPU:
        return torch.linalg.svd(A, full_matrices=False)  # type: ignore[no-any-return]
    # The Jacobi rotations of larger matrices leave an error of 5e-5 in single precision (128 x 128 on an H100).
    U, S, Vh = torch.linalg.svd(A.to(torch.promote_types(A.dtype, torch.float64)), full_matrices=False)
    return U.to(A.dtype), S.to(A.real.dtype), Vh.to(A.dtype)


def _with_index_in_error(A: Tensor, decomposition: Decomposition) -> Factors:
    try:
        return decomposition(A)
    except LinAlgError as error:
        raise ValueError(_reason(A)) from error


def _reason(A: Tensor) -> str:
    bad = (~A.isfinite()).flatten(-2).any(-1)
    if not bad.any():
        return "the singular value decomposition did not converge, though all values are finite; rescale the matrices"
    where = "" if bad.ndim == 0 else f" at batch index {[tuple(index) for index in bad.nonzero().tolist()][:8]}"
    return f"the matrix{where} holds NaN or infinity; singular values need finite input"


def _custom_op(name: str, decomposition: Decomposition) -> Decomposition:
    """Return a decomposition as an operator that the compiler and ``torch.func`` do not trace into."""

    def contiguous(A: Tensor) -> Factors:
        U, S, Vh = _with_index_in_error(A, decomposition)
        return U.contiguous(), S, Vh.contiguous()

    def shapes(A: Tensor) -> Factors:
        *batch, m, n = A.shape
        k = min(m, n)
        return A.new_empty(*batch, m, k), A.new_empty(*batch, k, dtype=A.real.dtype), A.new_empty(*batch, k, n)

    def batched(info: object, in_dims: tuple[int], A: Tensor) -> tuple[tuple[Tensor, ...], tuple[int, int, int]]:
        return operator(A.movedim(in_dims[0], 0)), (0, 0, 0)

    schema = "(Tensor A) -> (Tensor, Tensor, Tensor)"
    operator: Any = torch.library.custom_op(f"lowrank_unroll::{name}", contiguous, mutates_args=(), schema=schema)
    operator.register_fake(shapes)
    operator.register_vmap(batched)
    return operator  # type: ignore[no-any-return]


_svd_operator = _custom_op("svd", _threaded_svd)
_gram_operator = _custom_op("gram", native.gram_svd)
