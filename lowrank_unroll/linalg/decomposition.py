"""Decompositions of batches of matrices, on all cores."""

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from lowrank_unroll.linalg.batches import Function, decomposed, traced

# A GPU's solver for batches of singular values ends at so many rows and columns; larger matrices it takes one by one.
BATCHED_ON_A_GPU = 32


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
    if traced(A):
        return _svd_operator(A)  # type: ignore[no-any-return]
    return _svd(A)


def gram_eigen(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A V, S and V^H of tall matrices from the eigenvalues of A^H A, without a gradient.

    Computed in double precision, of which squaring the singular values leaves half to the smallest; so that of A in
    single precision the columns of A V, whose norms are S, have full precision down to the small ones.

    Args:
        A: matrices, shape (..., m, n), float32, float64, complex64 or complex128.

    Returns:
        AV (..., m, n), S (..., n) descending, Vh (..., n, n).

    Raises:
        ValueError: if a matrix holds NaN or infinity; names its index in the batch.
    """
    AV, S, Vh = _checked(A, lambda A: decomposed(_gram_eigen, A))
    return AV, S, Vh


def _gram_eigen(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    double = A.to(torch.promote_types(A.dtype, torch.float64))
    # The eigenvalues ascend; those of the negative Gram matrix belong to descending singular values. Of the lower
    # triangle of complex matrices some GPUs make NaN (jax#32641).
    squares, V = torch.linalg.eigh((double.mH @ double).neg_(), UPLO="U")
    return (double @ V).to(A.dtype), squares.neg_().clamp_(min=0).sqrt_().to(A.real.dtype), V.to(A.dtype).mH


def _svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    U, S, Vh = _checked(A, lambda A: decomposed(_full_precision_svd, A))
    return U, S, Vh


def _full_precision_svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if A.device.type != "cuda" or min(A.shape[-2:]) <= BATCHED_ON_A_GPU:
        return torch.linalg.svd(A, full_matrices=False)  # type: ignore[no-any-return]
    # The rotations of one by one leave an error of 5e-5 in single precision (128 x 128 on an H100).
    U, S, Vh = torch.linalg.svd(A.to(torch.promote_types(A.dtype, torch.float64)), full_matrices=False)
    return U.to(A.dtype), S.to(A.real.dtype), Vh.to(A.dtype)


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


def _checked(A: Tensor, decomposition: Function) -> tuple[Tensor, ...]:
    try:
        factors = decomposition(A)
    except LinAlgError as error:
        raise ValueError(_not_finite(A)) from error
    singular_values = factors[-2]
    if not singular_values.isfinite().all():
        raise ValueError(_not_finite(A))
    return factors


def _not_finite(A: Tensor) -> str:
    bad = (~A.isfinite()).flatten(-2).any(-1)
    if not bad.any():
        return "the singular value decomposition did not converge, though all values are finite; rescale the matrices"
    where = "" if bad.ndim == 0 else f" at batch index {[tuple(index) for index in bad.nonzero().tolist()][:8]}"
    return f"the matrix{where} holds NaN or infinity; singular values need finite input"
