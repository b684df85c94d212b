"""Functions of singular values with exact gradients: what users of this package call."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor

from lowrank_unroll.linalg.derivatives import Point
from lowrank_unroll.linalg.drivers import Driver, gram_is_accurate, gram_is_faster, gram_point, svd_point
from lowrank_unroll.linalg.precision import at_least_single, exact
from lowrank_unroll.linalg.shrinkage import Shrinkage
from lowrank_unroll.linalg.spectral import spectral_function_at
from lowrank_unroll.linalg.thresholding import Soft

TIE_TOLERANCE = 8


def spectral_function(A: Tensor, shrinkage: Shrinkage, *, driver: Driver = "auto") -> Tensor:
    """Apply a scalar function to the singular values: Y = U f(S) V^H.

    The gradient is exact for every A, repeated and zero singular values included, wherever one exists, since it
    differentiates Y as a map of A rather than through U and V. First derivatives in forward and reverse mode, second
    derivatives by differentiating those; ``torch.func`` transforms and ``torch.compile`` work.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point; half precision is computed in single.
        shrinkage: the function, such as :class:`Soft`; its parameters are differentiable.
        driver: "svd"; "gram", the eigenvalues of A^H A in double precision, which refuses where it would be less
            accurate; or "auto", the faster of them that is accurate (see :mod:`lowrank_unroll.linalg.drivers`).

    Returns:
        Y, shape and dtype of A.

    Raises:
        TypeError: if A is not a floating-point tensor.
        ValueError: if A is no batch of matrices, or a matrix holds NaN or infinity; names its index in the batch;
            if ``driver="gram"`` would be inaccurate.
    """
    return _apply(A, lambda point: shrinkage, driver)


def singular_value_threshold(
    A: Tensor, threshold: Tensor | float, *, relative: bool = False, driver: Driver = "auto"
) -> Tensor:
    """Soft-threshold the singular values: the proximal map of threshold * nuclear norm.

    As :func:`spectral_function` of :class:`Soft`. The gradient with respect to A is never larger than the one that
    comes in (absolute thresholds); where a singular value equals the threshold it is a generalised gradient.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point; half precision is computed in single.
        threshold: non-negative, in the unit of A (or, if relative, as a fraction of each matrix's largest singular
            value); a number or a real tensor that broadcasts to the batch shape (...). Differentiable.
        relative: multiply the threshold by each matrix's largest singular value. That value has no gradient where it
            is repeated; the subgradient that averages over the repeated values is used.
        driver: as for :func:`spectral_function`.

    Returns:
        Y, shape and dtype of A.

    Raises:
        TypeError: if A is not a floating-point tensor.
        ValueError: if a number is given as threshold and is negative; if A is no batch of matrices, or a matrix holds
            NaN or infinity; if ``driver="gram"`` would be inaccurate.
    """
    if isinstance(threshold, float | int) and threshold < 0:
        raise ValueError(f"threshold is {threshold}, expected a non-negative number")
    if relative:
        return _apply(A, lambda point: Soft(threshold * _largest_singular_value(point)), driver)
    return _apply(A, lambda point: Soft(threshold), driver)


@exact
def _apply(A: Tensor, shrinkage_at: Callable[[Point], Shrinkage], driver: Driver) -> Tensor:
    _check(A, driver)
    if A.numel() == 0:
        return A.clone()
    if A.dtype in {torch.float16, torch.bfloat16}:
        return _apply(at_least_single(A), shrinkage_at, driver).to(A.dtype)
    if A.shape[-2] < A.shape[-1]:
        return _apply(A.mH, shrinkage_at, driver).mH.resolve_conj()
    if driver == "gram" or (driver == "auto" and gram_is_faster(A)):
        point = gram_point(A)
        shrinkage = shrinkage_at(point)
        if gram_is_accurate(point, shrinkage):
            return spectral_function_at(point, shrinkage)
        if driver == "gram":
            raise ValueError(
                "driver='gram' would lose accuracy: it squares the singular values, and the shrinkage keeps some that "
                f"are too small beside the largest for {A.dtype}; use driver='svd' or 'auto', or a larger threshold"
            )
    point = svd_point(A)
    return spectral_function_at(point, shrinkage_at(point))


def _check(A: Tensor, driver: Driver) -> None:
    if driver not in get_args(Driver):
        raise ValueError(f"driver is {driver!r}, expected one of {', '.join(map(repr, get_args(Driver)))}")
    if not (A.is_floating_point() or A.is_complex()):
        raise TypeError(f"singular values are shrunk of floating-point matrices, got {A.dtype}; convert with A.float()")
    if A.ndim < 2:  # noqa: PLR2004
        raise ValueError(f"expected matrices, shape (..., m, n), got shape {tuple(A.shape)}")


@dataclass(frozen=True)
class _TopDirection(Shrinkage):
    """1/r for the r largest, equal singular values, else 0: the gradient of the largest singular value."""

    def values(self, S: Tensor) -> Tensor:
        """The share of each singular value."""
        # Rounding splits a tie by a few units in the last place.
        top = S[..., :1] * (1 - TIE_TOLERANCE * torch.finfo(S.dtype).eps) <= S
        return top / top.sum(-1, keepdim=True)

    def divided_differences(self, S: Tensor) -> Tensor:
        """0 within the top and below it, share / (s_i - s_j) across."""
        f = self.values(S)
        gap = S[..., :, None] - S[..., None, :]
        across = f[..., :, None] != f[..., None, :]
        return torch.where(across, (f[..., :, None] - f[..., None, :]) / torch.where(across, gap, 1), 0)


class _LargestSingularValue(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(A: Tensor, U: Tensor, S: Tensor, Vh: Tensor, scale: Tensor) -> Tensor:
        return S[..., 0].clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    @exact
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        direction = spectral_function_at(Point(*ctx.saved_tensors), _TopDirection())
        return g[..., None, None] * direction, None, None, None, None

    @staticmethod
    @exact
    def jvp(ctx: Any, dA: Tensor, *_: None) -> Tensor:
        direction = spectral_function_at(Point(*ctx.saved_tensors), _TopDirection())
        return (direction.conj() * dA).real.sum((-2, -1))


def _largest_singular_value(point: Point) -> Tensor:
    """s_1 of each matrix, differentiable to second order."""
    return _LargestSingularValue.apply(*point)  # type: ignore[no-untyped-call, no-any-return]
