"""The singular value decomposition, differentiated by one of the published rules.

With A = U S V^H and gU, gS, gV the gradients of its factors, every rule computes

    gA = U [ (F o (U^H gU - gU^H U)) S + S (F o (V^H gV - gV^H V)) + diag(gS) + T o (U^H gU)
             + i Im diag(U^H gU) S^+ ] V^H
         + (I - U U^H) gU S^+ V^H + U S^+ gV^H (I - V V^H)

where S^+ is the pseudoinverse of S. The rules differ in F, which is 1/(s_j^2 - s_i^2) wherever that is finite, and in
T, which only "pinv" has. The last term in brackets is the phase of complex singular vectors.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lowrank_unroll.linalg.decomposition import reduced_svd
from lowrank_unroll.linalg.precision import at_least_single, exact

SVDGradient = Literal["plain", "zero", "clip", "taylor", "pinv"]

CLIP_BOUND = 1e30
TAYLOR_DEGREE = 9


def svd(A: Tensor, gradient: SVDGradient = "pinv", *, rtol: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Reduced singular value decomposition A = U diag(S) Vh, with a choice of gradient at repeated singular values.

    The rules agree with each other, and are exact for losses that depend on A alone (not on the arbitrary phase of the
    singular vectors), as long as the singular values are distinct. At ties none of them is exact; prefer
    :func:`singular_value_threshold`, which is, where only the shrunk matrix is needed.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point; k = min(m, n) below. Half precision is computed
            in single, and gives single.
        gradient: how 1/(s_j^2 - s_i^2) is treated where it is infinite or large:
            "plain" leaves it, as autograd through ``torch.linalg.svd`` does;
            "zero" replaces it by 0 where it is not finite;
            "clip" replaces it by 1e30 there, by 0 where both singular values are zero;
            "taylor" uses the first ten terms of its geometric series (Wang et al., Robust Differentiable SVD, 2022);
            "pinv" takes the Moore-Penrose pseudoinverse of the defining linear system, arXiv 2411.14141.
        rtol: for "pinv", how close two singular values count as equal, relative to the larger. The default 0 is the
            paper's exact test, which rounding defeats: values that differ by a unit in the last place give
            coefficients of 1e7 in single precision. With 1e-4 the gradient stays bounded near ties, at the price of
            the same error there as at ties.

    Returns:
        U (..., m, k), S (..., k) real and descending, Vh (..., k, n), as ``torch.linalg.svd(A, full_matrices=False)``.

    Raises:
        ValueError: if ``gradient`` is not one of the five rules, or ``rtol`` is given for another than "pinv"; if a
            matrix holds NaN or infinity.
    """
    if gradient not in RULES:
        raise ValueError(f"gradient is {gradient!r}, expected one of {', '.join(map(repr, get_args(SVDGradient)))}")
    if rtol and gradient != "pinv":
        raise ValueError(f"rtol is for gradient='pinv', not for {gradient!r}")
    return _SVD.apply(at_least_single(A), gradient, rtol)  # type: ignore[no-untyped-call, no-any-return]


class _SVD(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, A: Tensor, gradient: SVDGradient, rtol: float) -> tuple[Tensor, Tensor, Tensor]:
        U, S, Vh = reduced_svd(A)
        ctx.save_for_backward(U, S, Vh)
        ctx.gradient, ctx.rtol = gradient, rtol
        return U, S, Vh

    @staticmethod
    @once_differentiable
    @exact
    def backward(ctx: Any, gU: Tensor, gS: Tensor, gVh: Tensor) -> tuple[Tensor, None, None]:
        U, S, Vh = ctx.saved_tensors
        F, T = RULES[ctx.gradient](S, ctx.rtol)
        UhgU, VhgV = U.mH @ gU, Vh @ gVh.mH
        inverse = _finite_or_zero(1 / S)

        diagonal = gS.to(U.dtype)
        if U.is_complex():
            diagonal = diagonal + 1j * UhgU.diagonal(dim1=-2, dim2=-1).imag * inverse
        core = (F * (UhgU - UhgU.mH)) * S[..., None, :] + S[..., :, None] * (F * (VhgV - VhgV.mH))
        core = core + torch.diag_embed(diagonal)
        if T is not None:
            core = core + T * UhgU

        gA = U @ core @ Vh
        if U.shape[-2] > S.shape[-1]:
            gA = gA + ((gU - U @ UhgU) * inverse[..., None, :]) @ Vh
        if Vh.shape[-1] > S.shape[-1]:
            gA = gA + (U * inverse[..., None, :]) @ (gVh - VhgV.mH @ Vh)
        return gA, None, None


Coefficients = tuple[Tensor, Tensor | None]


def _reciprocal_differences(S: Tensor) -> Tensor:
    """1/(s_j^2 - s_i^2) with a zero diagonal, shape (..., k, k)."""
    squares = S**2
    differences = squares[..., None, :] - squares[..., :, None]
    diagonal = torch.eye(S.shape[-1], dtype=torch.bool, device=S.device)
    return (1 / differences).masked_fill(diagonal, 0)


def _finite_or_zero(values: Tensor) -> Tensor:
    return values.nan_to_num(nan=0, posinf=0, neginf=0)


def _plain(S: Tensor, rtol: float) -> Coefficients:
    return _reciprocal_differences(S), None


def _zero(S: Tensor, rtol: float) -> Coefficients:
    return _finite_or_zero(_reciprocal_differences(S)), None


def _clip(S: Tensor, rtol: float) -> Coefficients:
    F = _reciprocal_differences(S).nan_to_num(nan=CLIP_BOUND, posinf=CLIP_BOUND, neginf=-CLIP_BOUND)
    both_zero = (S[..., None, :] == 0) & (S[..., :, None] == 0)
    return F.masked_fill(both_zero, 0), None


def _taylor(S: Tensor, rtol: float) -> Coefficients:
    squares = S**2
    larger = torch.maximum(squares[..., None, :], squares[..., :, None])
    ratio = torch.minimum(squares[..., None, :], squares[..., :, None]) / larger
    series = torch.ones_like(ratio)
    for _ in range(TAYLOR_DEGREE):
        series = 1 + ratio * series
    k = S.shape[-1]
    descending = torch.ones(k, k, dtype=S.dtype, device=S.device)
    # S descends, so s_j >= s_i below the diagonal: the sign of 1/(s_j^2 - s_i^2).
    sign = descending.tril(-1) - descending.triu(1)
    return _finite_or_zero(sign * series / larger), None


def _pinv(S: Tensor, rtol: float) -> Coefficients:
    s_i, s_j = S[..., :, None], S[..., None, :]
    diagonal = torch.eye(S.shape[-1], dtype=torch.bool, device=S.device)
    tied = ((s_i - s_j).abs() <= rtol * torch.maximum(s_i, s_j)) & ~diagonal
    F = _finite_or_zero(_reciprocal_differences(S)).masked_fill(tied, 0)
    return F, _finite_or_zero(1 / S)[..., None, :] * tied


RULES: dict[SVDGradient, Callable[[Tensor, float], Coefficients]] = {
    "plain": _plain,
    "zero": _zero,
    "clip": _clip,
    "taylor": _taylor,
    "pinv": _pinv,
}
