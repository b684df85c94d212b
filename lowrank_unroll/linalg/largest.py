"""The largest singular value, in whose units relative thresholds are."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowrank_unroll.linalg.derivatives import Point, spectral
from lowrank_unroll.linalg.joint_derivatives import ParametrizedFunction, Step
from lowrank_unroll.linalg.last_derivative import last_derivative
from lowrank_unroll.linalg.precision import exact
from lowrank_unroll.linalg.shrinkage import TIE_TOLERANCE, Shrinkage, rows
from lowrank_unroll.linalg.spectral import REFUSAL, spectral_function_at


def largest_singular_value(point: Point) -> Tensor:
    """s_1 of each matrix, differentiable to second order; where it is repeated, by the mean of its subgradients."""
    return _LargestSingularValue.apply(*point)  # type: ignore[no-untyped-call, no-any-return]


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
        f_i, f_j = rows(self.values(S))
        s_i, s_j = rows(S)
        across = f_i != f_j
        return torch.where(across, (f_i - f_j) / torch.where(across, s_i - s_j, 1), 0)


class _KeepsInputs(torch.autograd.Function):
    """A function of tensors whose derivatives need what it was given."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


class _LargestSingularValue(_KeepsInputs):
    @staticmethod
    def forward(A: Tensor, U: Tensor, S: Tensor, Vh: Tensor) -> Tensor:
        return S[..., 0].clone()

    @staticmethod
    @exact
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        direction = spectral_function_at(Point(*ctx.saved_tensors), _TopDirection())
        return g[..., None, None] * direction, None, None, None

    @staticmethod
    @exact
    def jvp(ctx: Any, dA: Tensor, *_: None) -> Tensor:
        # As one function: forward mode does not see what is computed in here.
        slope: Any = _Slope
        return slope.apply(dA, *ctx.saved_tensors)  # type: ignore[no-any-return]


class _Slope(_KeepsInputs):
    """The derivative of s_1 in the direction dA."""

    @staticmethod
    def forward(dA: Tensor, A: Tensor, U: Tensor, S: Tensor, Vh: Tensor) -> Tensor:
        return _inner(_top(Point(A, U, S, Vh)), dA)

    @staticmethod
    @exact
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        dA, point = _detached(ctx.saved_tensors)
        weight = g.detach()[..., None, None]
        gradients = weight * _top(point), weight * _turn(point, dA)
        sources = (g, *ctx.saved_tensors)
        return *(last_derivative(gradient, REFUSAL, *sources) for gradient in gradients), None, None, None

    @staticmethod
    @exact
    def jvp(ctx: Any, ddA: Tensor | None, move: Tensor | None, *_: None) -> Tensor:
        dA, point = _detached(ctx.saved_tensors)
        slope = torch.zeros_like(point.S[..., 0])
        if ddA is not None:
            slope = slope + _inner(_top(point), ddA.detach())
        if move is not None:
            slope = slope + _inner(_turn(point, move.detach()), dA)
        tangents = [tangent for tangent in (ddA, move) if tangent is not None]
        return last_derivative(slope, REFUSAL, *tangents, *ctx.saved_tensors)


def _top(point: Point) -> Tensor:
    """The gradient of s_1."""
    return spectral(point, _TopDirection().values(point.S))


def _turn(point: Point, dA: Tensor) -> Tensor:
    """How that gradient changes in the direction dA."""
    return ParametrizedFunction(point, _TopDirection(), ()).tangent(Step(dA, ()))


def _inner(one: Tensor, other: Tensor) -> Tensor:
    """Re <one, other> of each matrix."""
    return (one.conj() * other).real.sum((-2, -1))


def _detached(tensors: tuple[Tensor, ...]) -> tuple[Tensor, Point]:
    dA, *point = (tensor.detach() for tensor in tensors)
    return dA, Point(*point)
