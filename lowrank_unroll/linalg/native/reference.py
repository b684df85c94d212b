"""The kernels in PyTorch, for tensors that compiled code does not support."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.linalg import LinAlgError  # type: ignore[attr-defined]

from lowrank_unroll.linalg import derivatives
from lowrank_unroll.linalg.batches import map_threads
from lowrank_unroll.linalg.derivatives import LoewnerMatrix, Point
from lowrank_unroll.linalg.shrinkage import pairs

# cuSOLVER's batched solver takes 0.6 MB for each matrix of 12 x 12 (CUDA 13.0, an H100).
MAX_BATCH_ON_GPU = 2**12

# Relative to the largest singular value: the squares of smaller ones are lost to rounding in double precision.
RESOLUTION = torch.finfo(torch.float64).eps ** 0.5


def gram_svd(A: Tensor, hermitian_eigen: Callable[[Tensor], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return U, S and Vh; see :func:`lowrank_unroll.linalg.native.gram_svd`.

    Args:
        A: shape (..., m, n), m >= n.
        hermitian_eigen: the solver for the Gram matrices.
    """

    def factors(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        double = A.to(torch.promote_types(A.dtype, torch.float64))
        # The eigenvalues ascend; those of the negative Gram matrix belong to descending singular values.
        _, V = hermitian_eigen((double.mH @ double).neg_())
        U, S = _normalized(double @ V)
        return U.to(A.dtype), S.to(A.real.dtype), V.mH.to(A.dtype)

    U, S, Vh = map_threads(factors, A)
    check_convergence(S)
    return U, S, Vh


def hermitian_eigen(A: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors; see :func:`lowrank_unroll.linalg.native.hermitian_eigen`."""
    if A.device.type == "cpu":
        return torch.linalg.eigh(A)  # type: ignore[no-any-return]
    # From the lower triangle of complex matrices some GPUs compute NaN (jax#32641).
    parts = [torch.linalg.eigh(part, UPLO="U") for part in torch.split(A.reshape(-1, *A.shape[-2:]), MAX_BATCH_ON_GPU)]
    values, vectors = map(torch.cat, zip(*parts, strict=True))
    return values.reshape(A.shape[:-1]), vectors.reshape(A.shape)


def first_derivative(point: Point, loewner: LoewnerMatrix, E: Tensor) -> tuple[Tensor, Tensor]:
    """Return two derivatives; see :func:`lowrank_unroll.linalg.native.first_derivative`."""
    direction = derivatives.project(point, E)
    return derivatives.first_derivative(point, loewner, direction), derivatives.derivative_by_values(direction)


def soft_differences(S: Tensor, threshold: Tensor) -> Tensor:
    """Return divided differences; see :func:`lowrank_unroll.linalg.native.soft_differences`."""
    least = torch.finfo(S.dtype).tiny
    # Zeros count as the smallest positive number, so that without a threshold all differences are 1.
    f = (S.clamp(min=least) - threshold).clamp_min(0)
    s_i, s_j = pairs(S)
    # The smaller value of a pair is shrunk to 0, unless it is above the threshold, too: then the quotient is 1 or more.
    gap = (s_i - s_j).abs().clamp(min=least)
    return (torch.maximum(*pairs(f)) / gap).clamp(max=1)


def check_convergence(S: Tensor) -> None:
    """Raise an error if singular values are not finite; on a GPU that would synchronise, so it is left out.

    Raises:
        LinAlgError: if one is not finite.
    """
    if S.device.type == "cpu" and not S.isfinite().all():
        raise LinAlgError("a singular value is not finite")


def _normalized(AV: Tensor) -> tuple[Tensor, Tensor]:
    """Return U and S of A V = U diag(S), overwriting A V.

    The norms of the columns are more accurate than the roots of eigenvalues: errors of V count only squared.
    """
    # In real numbers: PyTorch takes five to ten times as long for sums over rows and quotients of complex ones.
    parts = 2 if AV.is_complex() else 1
    numbers = torch.view_as_real(AV).flatten(-2) if AV.is_complex() else AV
    S = numbers.square().sum(-2).reshape(*AV.shape[:-2], -1, parts).sum(-1).sqrt_()
    S = torch.maximum(S, RESOLUTION * S[..., :1]).clamp_(min=torch.finfo(torch.float32).tiny)
    S = S.cummin(-1).values  # descending also where rounding decides
    numbers.div_(S.repeat_interleave(parts, -1)[..., None, :])
    return AV, S
