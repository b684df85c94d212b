"""Which decomposition is used: the singular value decomposition, or the eigenvalues of the Gram matrix."""

from typing import Literal

import torch
from torch import Tensor

from lowrank_unroll.linalg.batches import traced
from lowrank_unroll.linalg.decomposition import BATCHED_ON_A_GPU, gram_eigen, reduced_svd
from lowrank_unroll.linalg.derivatives import Point
from lowrank_unroll.linalg.shrinkage import Shrinkage

Driver = Literal["auto", "svd", "gram"]

# How much smaller than the largest a singular value that is kept may be. The Gram matrix, in double precision, costs
# a relative error of 1e-16 times the square of their ratio: a hundredth of what rounding to single precision costs.
SMALLEST_KEPT = {torch.float32: 4e-4, torch.float64: 0.03}

# How many units of rounding times n the products of n orthonormal vectors may be off.
ORTHONORMAL = 16

# The Gram matrix of m x n matrices in single precision is faster on the CPU where they are real or m >= 4 n, and the
# batch holds some ten thousand values. On a GPU, whose solver for batches of singular values ends at 32 x 32 and takes
# larger matrices one by one, it is from there on, and in batches of a million values. Measured with
# benchmarks/svt_speed.py --grid on two cores, and an H100; the numbers are in docs/gradients.md.
TALL = 4
LARGE = 2**13
LARGE_FOR_A_GPU = 2**20


def gram_is_faster(A: Tensor) -> bool:
    """Whether "auto" tries the Gram matrix first; never where the check of its accuracy could not be traced."""
    if traced(A) or A.dtype not in {torch.float32, torch.complex64}:
        return False
    if A.device.type == "cpu":
        return A.numel() >= LARGE and (not A.is_complex() or A.shape[-2] >= TALL * A.shape[-1])
    return A.device.type == "cuda" and (A.shape[-2] > BATCHED_ON_A_GPU or A.numel() >= LARGE_FOR_A_GPU)


def svd_point(A: Tensor) -> Point:
    """The singular value decomposition of tall or square matrices."""
    U, S, Vh = reduced_svd(A.detach())
    return Point(A, U, S, Vh, S)


def gram_point(A: Tensor) -> Point:
    """The same from the Gram matrix, accurate where :func:`gram_is_accurate` says so."""
    AV, S, Vh = gram_eigen(A.detach())
    scale = S.clamp(min=SMALLEST_KEPT[S.dtype] * S[..., :1]).clamp(min=torch.finfo(S.dtype).tiny)
    return Point(A, AV / scale[..., None, :], S, Vh, scale)


def gram_is_accurate(point: Point, shrinkage: Shrinkage) -> bool:
    """Whether the Gram matrix is as accurate as the singular value decomposition, for every matrix of the batch."""
    f = shrinkage.with_parameters(shrinkage.parameters(point.S)).values(point.S)
    accurate = ((f == 0) | (SMALLEST_KEPT[point.S.dtype] * point.S[..., :1] <= point.S)).all()
    if point.A.device.type == "cuda":
        # Batched eigenvectors have come out not orthonormal there, without a word (pytorch#192483).
        accurate &= _are_orthonormal(point.Vh)
    return bool(accurate)


def _are_orthonormal(rows: Tensor) -> Tensor:
    """Whether the rows of all matrices (..., n, n) are, to rounding."""
    n, double = rows.shape[-1], rows.to(torch.promote_types(rows.dtype, torch.float64))
    error = double @ double.mH - torch.eye(n, dtype=double.dtype, device=rows.device)
    return (error.abs() <= n * ORTHONORMAL * torch.finfo(rows.dtype).eps).all()
