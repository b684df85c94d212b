"""Decompositions of batches of matrices, on all cores."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from lowrank_unroll.linalg import native
from lowrank_unroll.linalg.batches import decomposed, traced
from lowrank_unroll.linalg.hermitian import hermitian_eigen

# A GPU's solver for batches of singular values ends at so many rows and columns; larger matrices it takes one by one.
BATCHED_ON_A_GPU = 32

# Of the largest singular value, what the squares of others leave of double precision.
RESOLUTION = torch.finfo(torch.float64).eps ** 0.5

Decomposition = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def reduced_svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Reduced singular value decomposition, without a gradient.

    ``torch.linalg.svd`` works through a batch on the CPU one matrix after the other, each too small for several
    threads; here every thread takes a part of the batch.

    Args:
        A: matrices, shape (..., m, n), float32, float64, complex64 or complex128; k = min(m, n) below.

    Returns:
        U (..., m, k), S (..., k) descending, Vh (..., k, n).

    Raises:
        ValueError: if a matrix holds NaN or infinity; names its index in the batch. (On a GPU not every solver looks:
            then all factors of such a matrix are NaN.)
    """
    return _svd_operator(A) if traced(A) else _checked(A, _svd_in_parts)


def factors_of_tall(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The factors of tall or square matrices for functions of their singular values: as :func:`reduced_svd`, or better.

    Those of matrices in single precision come from the eigenvalues of A^H A in double precision, which is faster and
    more accurate: S is right to 1e-8 of the largest, where the SVD in single precision leaves 1e-7. It is not below
    that, and U = A V / S is orthonormal but for the columns where S is that small; U diag(S) Vh is A all the same.

    Raises:
        ValueError: as :func:`reduced_svd`.
    """
    if A.dtype not in {torch.float32, torch.complex64}:
        return reduced_svd(A)
    return _gram_operator(A) if traced(A) else _checked(A, _factors)


def _svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if A.device.type != "cuda" or min(A.shape[-2:]) <= BATCHED_ON_A_GPU:
        return torch.linalg.svd(A, full_matrices=False)  # type: ignore[no-any-return]
    # The rotations of one by one leave an error of 5e-5 in single precision (128 x 128 on an H100).
    U, S, Vh = torch.linalg.svd(A.to(torch.promote_types(A.dtype, torch.float64)), full_matrices=False)
    return U.to(A.dtype), S.to(A.real.dtype), Vh.to(A.dtype)


def _svd_in_parts(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return _finite(*decomposed(_svd, A))


def _factors(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    compiled = native.factors(A)
    return _finite(*decomposed(_gram, A)) if compiled is None else compiled


def _gram(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    double = A.to(torch.promote_types(A.dtype, torch.float64))
    # The eigenvalues ascend; those of the negative Gram matrix belong to descending singular values.
    _, V = hermitian_eigen((double.mH @ double).neg_())
    U, S = _normalised(double @ V)
    return U.to(A.dtype), S.to(A.real.dtype), V.mH.to(A.dtype)


def _normalised(AV: Tensor) -> tuple[Tensor, Tensor]:
    """U and S of A V = U diag(S): norms are more accurate than roots of eigenvalues, V's error counts only squared."""
    # In real numbers: sums over rows and quotients of complex ones take PyTorch five to ten times as long.
    each = 2 if AV.is_complex() else 1
    parts = torch.view_as_real(AV).flatten(-2) if AV.is_complex() else AV
    S = parts.square().sum(-2).reshape(*AV.shape[:-2], -1, each).sum(-1).sqrt_()
    S = torch.maximum(S, RESOLUTION * S[..., :1]).clamp_(min=torch.finfo(torch.float32).tiny)
    S = S.cummin(-1).values  # descending also where rounding decides
    parts.div_(S.repeat_interleave(each, -1)[..., None, :])
    return AV, S


def _finite(U: Tensor, S: Tensor, Vh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    # A GPU would have to be waited for.
    if S.device.type == "cpu" and not S.isfinite().all():
        raise LinAlgError("a singular value is not finite")
    return U, S, Vh


def _checked(A: Tensor, decomposition: Decomposition) -> tuple[Tensor, Tensor, Tensor]:
    try:
        return decomposition(A)
    except LinAlgError as error:
        raise ValueError(_not_finite(A)) from error


def _not_finite(A: Tensor) -> str:
    bad = (~A.isfinite()).flatten(-2).any(-1)
    if not bad.any():
        return "the singular value decomposition did not converge, though all values are finite; rescale the matrices"
    where = "" if bad.ndim == 0 else f" at batch index {[tuple(index) for index in bad.nonzero().tolist()][:8]}"
    return f"the matrix{where} holds NaN or infinity; singular values need finite input"


def _opaque(name: str, decomposition: Decomposition) -> Decomposition:
    """A decomposition that the compiler and torch.func do not look into, whose tensors threads cannot share."""

    def contiguous(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        U, S, Vh = _checked(A, decomposition)
        return U.contiguous(), S, Vh.contiguous()

    def shapes(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
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


_svd_operator = _opaque("svd", _svd_in_parts)
_gram_operator = _opaque("gram", _factors)
