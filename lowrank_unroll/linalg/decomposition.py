"""Decompositions of batches of matrices, on all cores."""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

# Fewer multiplications than this in a batch are not worth sharing among threads: a batch of 64 x 32 x 32 gains nothing,
# one of 384 x 32 x 32 takes 23 ms instead of 39 ms.
SHARED_WORK = 8_000_000


def reduced_svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Reduced singular value decomposition, without a gradient.

    ``torch.linalg.svd`` works through a batch on the CPU one matrix after the other, each too small for several
    threads; here every thread takes a part of the batch.

    Args:
        A: matrices, shape (..., m, n), float32, float64, complex64 or complex128; k = min(m, n) below.

    Returns:
        U (..., m, k), S (..., k) descending, Vh (..., k, n).

    Raises:
        ValueError: if a matrix holds NaN or infinity; names its index in the batch.
    """
    if torch.compiler.is_compiling() or torch._C._are_functorch_transforms_active():  # noqa: SLF001  has no public name
        return _svd_operator(A)  # type: ignore[no-any-return]
    return _svd(A)


def gram_eigen(A: Tensor) -> tuple[Tensor, Tensor]:
    """S and V^H of tall matrices from the eigenvalues of A^H A, without a gradient.

    Squaring the singular values loses those below the square root of the precision, relative to the largest.

    Args:
        A: matrices, shape (..., m, n), float32, float64, complex64 or complex128.

    Returns:
        S (..., n) descending, Vh (..., n, n), both in double precision.

    Raises:
        ValueError: if a matrix holds NaN or infinity; names its index in the batch.
    """
    double = A.to(torch.promote_types(A.dtype, torch.float64))
    squares, V = _checked(A, lambda _: _on_all_cores(torch.linalg.eigh, double.mH @ double))
    return squares.clamp(min=0).sqrt().flip(-1), V.flip(-1).mH


def _svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    U, S, Vh = _checked(A, lambda A: _on_all_cores(lambda A: torch.linalg.svd(A, full_matrices=False), A))
    return U, S, Vh


@torch.library.custom_op("lowrank_unroll::svd", mutates_args=())
def _svd_operator(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Opaque to the compiler and to torch.func, whose tensors cannot be shared among threads."""
    U, S, Vh = _svd(A)
    return U.contiguous(), S, Vh.contiguous()


@_svd_operator.register_fake
def _(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    *batch, m, n = A.shape
    k = min(m, n)
    return A.new_empty(*batch, m, k), A.new_empty(*batch, k, dtype=A.real.dtype), A.new_empty(*batch, k, n)


@_svd_operator.register_vmap
def _(info: object, in_dims: tuple[int], A: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], tuple[int, int, int]]:
    return _svd_operator(A.movedim(in_dims[0], 0)), (0, 0, 0)


Decomposition = Callable[[Tensor], tuple[Tensor, ...]]


def _on_all_cores(decomposition: Decomposition, A: Tensor) -> tuple[Tensor, ...]:
    *batch, m, n = A.shape
    count = math.prod(batch)
    threads = min(torch.get_num_threads(), count)
    if A.device.type != "cpu" or threads < 2 or count * m * n * min(m, n) < SHARED_WORK:  # noqa: PLR2004
        return decomposition(A)
    parts = _pool(threads).map(decomposition, A.reshape(count, m, n).tensor_split(threads))
    factors = (torch.cat(factor) for factor in zip(*parts, strict=True))
    return tuple(factor.reshape(*batch, *factor.shape[1:]) for factor in factors)


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    # LAPACK's own threads inside ours would fight for the cores: up to a hundred times slower.
    return ThreadPoolExecutor(threads, "lowrank_unroll", initializer=torch.set_num_threads, initargs=(1,))


def _checked(A: Tensor, decomposition: Decomposition) -> tuple[Tensor, ...]:
    try:
        factors = decomposition(A)
    except LinAlgError as error:
        raise ValueError(_not_finite(A)) from error
    singular_values = factors[-2]  # U, S, Vh or squares, V
    if not singular_values.isfinite().all():
        raise ValueError(_not_finite(A))
    return factors


def _not_finite(A: Tensor) -> str:
    bad = (~A.isfinite()).flatten(-2).any(-1)
    if not bad.any():
        return "the singular value decomposition did not converge, though all values are finite; rescale the matrices"
    where = "" if bad.ndim == 0 else f" at batch index {[tuple(index) for index in bad.nonzero().tolist()][:8]}"
    return f"the matrix{where} holds NaN or infinity; singular values need finite input"
