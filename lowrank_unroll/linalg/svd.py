"""The singular value decomposition, differentiated by one of the published rules.

With A = U S V^H and gU, gS, gV the gradients of its factors, every rule computes

    gA = U [ (F o (U^H gU - gU^H U)) S + S (F o (V^H gV - gV^H V)) + diag(gS) + T o (U^H gU)
             + i Im diag(U^H gU) S^+ ] V^H
         + (I - U U^H) gU S^+ V^H + U S^+ gV^H (I - V V^H)

where S^+ is the pseudoinverse of S. The rules differ in F, which is 1/(s_j^2 - s_i^2) wherever that is finite, and in
T, which only "pinv" has. The last term in brackets is the phase of complex singular vectors. A unit near the largest
singular value scales S, so that squares neither over- nor underflow.
"""

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lowrank_unroll.linalg.decomposition import check_matrices, reduced_svd
from lowrank_unroll.linalg.precision import at_least_single, full_precision

SVDGradient = Literal["plain", "zero", "clip", "taylor", "pinv"]

CLIP_BOUND = 1e30
CLIP_SHARE = 1e-6  # of the largest number: leaves room for products with singular vectors and values
TAYLOR_DEGREE = 9


def svd(A: Tensor, gradient: SVDGradient = "pinv", *, rtol: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return the reduced decomposition A = U diag(S) Vh, with a choice of gradient at repeated singular values.

    Where the singular values are distinct, all rules are exact for losses that do not depend on the arbitrary phase of
    the singular vectors; so are second derivatives, in reverse mode. At ties none is exact. If only the shrunk matrix
    is needed, prefer :func:`singular_value_threshold`, whose gradient is exact there, too.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point; k = min(m, n) below. Half precision is computed
            and returned in single.
        gradient: treatment of 1/(s_j^2 - s_i^2) where it is infinite or large:
            "plain" leaves it, as autograd through ``torch.linalg.svd`` does;
            "zero" replaces it by 0 where it is not finite;
            "clip" replaces it by 1e30 there (less where that would overflow), by 0 where both singular values are zero;
            "taylor" uses the first ten terms of its geometric series (Wang et al., Robust Differentiable SVD, 2022);
            "pinv" takes the Moore-Penrose pseudoinverse of the defining linear system, arXiv 2411.14141.
        rtol: for "pinv", the largest distance of two singular values that count as equal, relative to the larger. The
            default 0 is the paper's exact test, which rounding defeats: values that differ by a unit in the last place
            give coefficients of 1e7 in single precision. With 1e-4 the gradient stays bounded near ties, with the same
            error there as at ties.

    Returns:
        U (..., m, k), S (..., k) real and descending, Vh (..., k, n), as ``torch.linalg.svd(A, full_matrices=False)``.

    Raises:
        TypeError: if A is not a floating-point tensor.
        ValueError: if A is no batch of matrices, or a matrix holds NaN or infinity (on a GPU some solvers give NaN
            instead); if ``gradient`` is not one of the five rules, or ``rtol`` is given for another than "pinv".

    >>> U, S, Vh = svd(torch.ones(2, 3, 4), "taylor")
    >>> U.shape, S.shape, Vh.shape
    (torch.Size([2, 3, 3]), torch.Size([2, 3]), torch.Size([2, 3, 4]))
    """
    if gradient not in RULES:
        raise ValueError(f"gradient is {gradient!r}, expected one of {', '.join(map(repr, get_args(SVDGradient)))}")
    if rtol and gradient != "pinv":
        raise ValueError(f"rtol is for gradient='pinv', not for {gradient!r}")
    check_matrices(A)
    return _SVD.apply(at_least_single(A), gradient, rtol)  # type: ignore[no-untyped-call, no-any-return]


class _SVD(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(A: Tensor, gradient: SVDGradient, rtol: float) -> tuple[Tensor, Tensor, Tensor]:
        return reduced_svd(A)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, ctx.gradient, ctx.rtol = inputs
        # They are outputs, so that second derivatives go through this function, too.
        ctx.save_for_backward(*output)

    @staticmethod
    @full_precision
    def backward(ctx: Any, gU: Tensor, gS: Tensor, gVh: Tensor) -> tuple[Tensor, None, None]:
        U, S, Vh = ctx.saved_tensors
        unit = _unit(S)
        S = S / unit
        F, T = RULES[ctx.gradient](S, ctx.rtol, unit)
        UhgU, VhgV = U.mH @ gU, Vh @ gVh.mH
        inverse = _finite_reciprocal(S)

        core = (F * (UhgU - UhgU.mH)) * S[..., None, :] + S[..., :, None] * (F * (VhgV - VhgV.mH))
        if U.is_complex():
            core = core + torch.diag_embed(1j * UhgU.diagonal(dim1=-2, dim2=-1).imag * inverse)
        if T is not None:
            core = core + T * UhgU
        core = core / unit[..., None] + torch.diag_embed(gS.to(U.dtype))

        gA = U @ core @ Vh
        inverse = inverse / unit
        if U.shape[-2] > S.shape[-1]:
            gA = gA + ((gU - U @ UhgU) * inverse[..., None, :]) @ Vh
        if Vh.shape[-1] > S.shape[-1]:
            gA = gA + (U * inverse[..., None, :]) @ (gVh - VhgV.mH @ Vh)
        return gA, None, None

    @staticmethod
    def jvp(ctx: Any, *_: Tensor | None) -> tuple[Tensor, ...]:
        raise NotImplementedError(
            "svd has no forward-mode derivative; use reverse mode, such as torch.func.jacrev, or spectral_function"
        )


Coefficients = tuple[Tensor, Tensor | None]


def _unit(S: Tensor) -> Tensor:
    """Return the power of two below the largest singular value, (..., 1), division by which does not round."""
    largest = S.detach()[..., :1]
    return torch.where(largest > 0, torch.where(largest > 0, largest, 1).log2().floor().exp2(), 1)


def _differences_of_squares(S: Tensor) -> Tensor:
    """Return s_j^2 - s_i^2, shape (..., k, k)."""
    squares = S**2
    return squares[..., None, :] - squares[..., :, None]


def _finite_reciprocal(values: Tensor) -> Tensor:
    """Return 1 / value, and a constant 0 where that is not finite."""
    finite = (1 / values.detach()).isfinite()
    return torch.where(finite, 1 / torch.where(finite, values, 1), 0)


def _diagonal(S: Tensor) -> Tensor:
    return torch.eye(S.shape[-1], dtype=torch.bool, device=S.device)


def _plain(S: Tensor, rtol: float, unit: Tensor) -> Coefficients:
    differences = _differences_of_squares(S).masked_fill(_diagonal(S), 1)
    return (1 / differences).masked_fill(_diagonal(S), 0), None


def _zero(S: Tensor, rtol: float, unit: Tensor) -> Coefficients:
    return _finite_reciprocal(_differences_of_squares(S)), None


def _clip(S: Tensor, rtol: float, unit: Tensor) -> Coefficients:
    F = _finite_reciprocal(_differences_of_squares(S))
    # 1e30 is meant in the unit of A, with the square of which the bound scales.
    bound = (CLIP_BOUND**0.5 * unit).square().clamp(max=CLIP_SHARE * torch.finfo(S.dtype).max)[..., None]
    both_zero = (S[..., None, :] == 0) & (S[..., :, None] == 0)
    return torch.where((F == 0) & ~both_zero & ~_diagonal(S), bound, F), None


def _taylor(S: Tensor, rtol: float, unit: Tensor) -> Coefficients:
    squares = S**2
    larger = torch.maximum(squares[..., None, :], squares[..., :, None])
    inverse = _finite_reciprocal(larger)
    ratio = torch.minimum(squares[..., None, :], squares[..., :, None]) * inverse
    series = torch.ones_like(ratio)
    for _ in range(TAYLOR_DEGREE):
        series = 1 + ratio * series
    k = S.shape[-1]
    descending = torch.ones(k, k, dtype=S.dtype, device=S.device)
    # S descends, so s_j >= s_i below the diagonal: the sign of 1/(s_j^2 - s_i^2).
    sign = descending.tril(-1) - descending.triu(1)
    return sign * series * inverse, None


def _pinv(S: Tensor, rtol: float, unit: Tensor) -> Coefficients:
    s_i, s_j = S[..., :, None], S[..., None, :]
    tied = ((s_i - s_j).abs() <= rtol * torch.maximum(s_i, s_j)) & ~_diagonal(S)
    F = _finite_reciprocal(_differences_of_squares(S)).masked_fill(tied, 0)
    return F, _finite_reciprocal(S)[..., None, :] * tied


RULES: dict[SVDGradient, Callable[[Tensor, float, Tensor], Coefficients]] = {
    "plain": _plain,
    "zero": _zero,
    "clip": _clip,
    "taylor": _taylor,
    "pinv": _pinv,
}
