"""The largest singular value, in units of which relative thresholds are given."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lowrank_unroll.linalg.autograd import detached, not_differentiable
from lowrank_unroll.linalg.derivatives import Point, recompose
from lowrank_unroll.linalg.joint_derivatives import ParametrizedFunction, Tangent
from lowrank_unroll.linalg.precision import full_precision
from lowrank_unroll.linalg.shrinkage import Shrinkage, pairs, tie_tolerance
from lowrank_unroll.linalg.spectral import TWICE_AT_MOST, spectral_function_at


def largest_singular_value(point: Point) -> Tensor:
    """Return s_1 of each matrix, twice differentiable; where it is repeated, by the mean of its subgradients."""
    return _LargestSingularValue.apply(*point)  # type: ignore[no-untyped-call, no-any-return]


@dataclass(frozen=True)
class _MeanSubgradient(Shrinkage):
    """f(s) = 1/r for the r largest, equal singular values, else 0; U f(S) V^H is the gradient of s_1."""

    def values(self, S: Tensor) -> Tensor:
        """Return the weight of each singular value."""
        largest = S[..., :1] * (1 - tie_tolerance(S.dtype)) <= S
        return largest / largest.sum(-1, keepdim=True)

    def divided_differences(self, S: Tensor) -> Tensor:
        """Return 0 among the largest and among the others, (f_i - f_j) / (s_i - s_j) between them."""
        f_i, f_j = pairs(self.values(S))
        s_i, s_j = pairs(S)
        across = f_i != f_j
        return torch.where(across, (f_i - f_j) / torch.where(across, s_i - s_j, 1), 0)


class _SavesInputs(torch.autograd.Function):
    """A function of tensors that saves them for its derivatives."""

    generate_vmap_rule = True

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)


class _LargestSingularValue(_SavesInputs):
    @staticmethod
    def forward(A: Tensor, U: Tensor, S: Tensor, Vh: Tensor) -> Tensor:
        return S[..., 0].clone()

    @staticmethod
    @full_precision
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        gradient = spectral_function_at(Point(*ctx.saved_tensors), _MeanSubgradient())
        return g[..., None, None] * gradient, None, None, None

    @staticmethod
    @full_precision
    def jvp(ctx: Any, dA: Tensor, *_: None) -> Tensor:
        # A function of its own, since forward mode does not differentiate what is computed in here.
        derivative: Any = _Derivative
        return derivative.apply(dA, *ctx.saved_tensors)  # type: ignore[no-any-return]


class _Derivative(_SavesInputs):
    """The derivative of s_1 along dA."""

    @staticmethod
    def forward(dA: Tensor, A: Tensor, U: Tensor, S: Tensor, Vh: Tensor) -> Tensor:
        return _inner_product(_gradient(Point(A, U, S, Vh)), dA)

    @staticmethod
    @full_precision
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        dA, *factors = detached(ctx.saved_tensors)
        point, scale = Point(*factors), g.detach()[..., None, None]
        gradients = scale * _gradient(point), scale * _gradient_along(point, dA)
        sources = (g, *ctx.saved_tensors)
        return *(not_differentiable(gradient, TWICE_AT_MOST, *sources) for gradient in gradients), None, None, None

    @staticmethod
    @full_precision
    def jvp(ctx: Any, ddA: Tensor | None, A_tangent: Tensor | None, *_: None) -> Tensor:
        dA, *factors = detached(ctx.saved_tensors)
        point = Point(*factors)
        derivative = torch.zeros_like(point.S[..., 0])
        if ddA is not None:
            derivative = derivative + _inner_product(_gradient(point), ddA.detach())
        if A_tangent is not None:
            derivative = derivative + _inner_product(_gradient_along(point, A_tangent.detach()), dA)
        tangents = [tangent for tangent in (ddA, A_tangent) if tangent is not None]
        return not_differentiable(derivative, TWICE_AT_MOST, *tangents, *ctx.saved_tensors)


def _gradient(point: Point) -> Tensor:
    """Return the gradient of s_1."""
    return recompose(point, _MeanSubgradient().values(point.S))


def _gradient_along(point: Point, dA: Tensor) -> Tensor:
    """Return the derivative of that gradient along dA."""
    return ParametrizedFunction(point, _MeanSubgradient(), ()).derivative(Tangent(dA, ()))


def _inner_product(one: Tensor, other: Tensor) -> Tensor:
    """Return Re <one, other> of each matrix."""
    return (one.conj() * other).real.sum((-2, -1))
