"""Soft thresholding of singular values, with its exact gradient."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TIE_TOLERANCE = 8


def singular_value_threshold(A: Tensor, threshold: Tensor | float, *, relative: bool = False) -> Tensor:
    """Soft-threshold the singular values: the proximal map of threshold * nuclear norm.

    The gradient is finite for every A and exact wherever one exists, repeated and zero singular values included,
    because it differentiates Y = U f(S) V^H, f(s) = max(s - threshold, 0), as a map of A rather than through U and V.
    Where none exists (a singular value equal to the threshold) it is a generalised gradient. With G the gradient at Y,
    M = U^H G V, M_h and M_s its Hermitian and skew-Hermitian parts and f_i = f(s_i),

        gA = U [C o M_h + D o M_s] V^H + (I - U U^H) G V diag(f/s) V^H + U diag(f/s) U^H G (I - V V^H)
        C_ij = (f_i - f_j) / (s_i - s_j), and f'(s_i) at ties;    D_ij = (f_i + f_j) / (s_i + s_j).

    All coefficients lie in [0, 1], so the gradient with respect to A is never larger than G (absolute thresholds).
    Source: Candes, Sing-Long & Trzasko, arXiv 1210.4139; Lewis & Sendov, arXiv math/0412227.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point.
        threshold: non-negative, in the unit of A (or, if relative, as a fraction of each matrix's largest singular
            value); a number or a real tensor that broadcasts to the batch shape (...). Differentiable.
        relative: multiply the threshold by each matrix's largest singular value. That value has no gradient where it
            is repeated; the subgradient that averages over the repeated values is used.

    Returns:
        Y, shape and dtype of A.

    Raises:
        ValueError: if a number is given as threshold and is negative.
    """
    if isinstance(threshold, float | int) and threshold < 0:
        raise ValueError(f"threshold is {threshold}, expected a non-negative number")
    thresholds = torch.as_tensor(threshold, dtype=A.real.dtype, device=A.device).expand(A.shape[:-2])
    return _SingularValueThreshold.apply(A, thresholds, relative)  # type: ignore[no-untyped-call, no-any-return]


class _SingularValueThreshold(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, A: Tensor, threshold: Tensor, relative: bool) -> Tensor:
        U, S, Vh = torch.linalg.svd(A, full_matrices=False)
        shrunk = (S - _absolute(threshold, S, relative=relative)[..., None]).clamp(min=0)
        ctx.save_for_backward(U, S, Vh, threshold, shrunk)
        ctx.relative = relative
        Y: Tensor = (U * shrunk[..., None, :]) @ Vh
        return Y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor, Tensor, None]:
        U, S, Vh, threshold, shrunk = ctx.saved_tensors
        GV, UhG = G @ Vh.mH, U.mH @ G
        M = U.mH @ GV
        difference, total = _coefficients(S, shrunk)
        scale = _ratio(shrunk, S)

        core = (difference + total) / 2 * M + (difference - total) / 2 * M.mH
        kept = shrunk > 0
        gradient_threshold = -(M.diagonal(dim1=-2, dim2=-1).real * kept).sum(-1)
        if ctx.relative:
            # Rounding splits a tie by a few units in the last place.
            top = S[..., :1] * (1 - TIE_TOLERANCE * torch.finfo(S.dtype).eps) <= S
            share = top * (threshold * gradient_threshold / top.sum(-1))[..., None]
            core = core + torch.diag_embed(share)
            gradient_threshold = gradient_threshold * S[..., 0]

        left = U @ core
        if U.shape[-2] > S.shape[-1]:
            left = left + (GV - U @ M) * scale[..., None, :]
        gA = left @ Vh
        if Vh.shape[-1] > S.shape[-1]:
            gA = gA + (U * scale[..., None, :]) @ (UhG - M @ Vh)
        return gA, gradient_threshold, None


def _absolute(threshold: Tensor, S: Tensor, *, relative: bool) -> Tensor:
    return threshold * S[..., 0] if relative else threshold


def _coefficients(S: Tensor, shrunk: Tensor) -> tuple[Tensor, Tensor]:
    """The divided differences C and D of soft thresholding, shape (..., k, k), every entry in [0, 1]."""
    s_i, s_j = S[..., :, None], S[..., None, :]
    f_i, f_j = shrunk[..., :, None], shrunk[..., None, :]
    kept_i, kept_j = f_i > 0, f_j > 0
    # One value kept, the other not: the kept one is strictly larger, so the quotient is finite and at most 1.
    difference = torch.where(kept_i != kept_j, _ratio((f_i - f_j).abs(), (s_i - s_j).abs()), (kept_i & kept_j).to(S))
    return difference.clamp(max=1), _ratio(f_i + f_j, s_i + s_j)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, and 0 where the denominator is 0."""
    positive = denominator > 0
    return torch.where(positive, numerator / torch.where(positive, denominator, 1), 0)
