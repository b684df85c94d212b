"""Derivatives of Y = U f(S) V^H with respect to the matrix A and the parameters of f, as pure functions of tensors."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from lowrank_unroll.linalg import native
from lowrank_unroll.linalg.derivatives import (
    LoewnerMatrix,
    Point,
    derivative_by_values,
    first_derivative,
    loewner_matrix,
    project,
    recompose,
    second_derivative,
)
from lowrank_unroll.linalg.shrinkage import Shrinkage


class Tangent(NamedTuple):
    """A direction of A, (..., m, n), and of each parameter."""

    A: Tensor
    parameters: Sequence[Tensor]


class ParametrizedFunction:
    """Derivatives of Y, as a function of A and the parameters, at one point.

    Args:
        point: A and its factors.
        shrinkage: f.
        parameters: those of f.
    """

    def __init__(self, point: Point, shrinkage: Shrinkage, parameters: Sequence[Tensor]) -> None:
        self.point = point
        self.shrinkage = shrinkage
        self.parameters = parameters

    def derivative(self, tangent: Tangent) -> Tensor:
        """Return the derivative of Y along a tangent."""
        dY = first_derivative(self.point, self._loewner(*self.parameters), project(self.point, tangent.A))
        return dY + recompose(self.point, self._values_along(tangent)) if self.parameters else dY

    def gradient(self, G: Tensor, *, with_parameters: bool = True) -> tuple[Tensor, ...]:
        """Return the gradients of <G, Y> with respect to A and, if wanted, to each parameter."""
        gA, by_values = native.first_derivative(self.point, self._loewner(*self.parameters), G)
        if not (with_parameters and self.parameters):
            return (gA,)
        pull_back = torch.func.vjp(self._values, *self.parameters)[1]
        return gA, *pull_back(by_values)

    def hessian_product(self, G: Tensor, tangent: Tangent) -> tuple[Tensor, ...]:
        """Return the Hessian of <G, Y> times a tangent: the derivatives along it of the gradients, A's first."""
        gA = second_derivative(self.point, self.shrinkage.with_parameters(self.parameters), G, tangent.A)
        if not self.parameters:
            return (gA,)
        direction = project(self.point, G)
        gA = gA + first_derivative(self.point, self._loewner_along(tangent), direction)

        def slope(*parameters: Tensor) -> Tensor:
            """Return the derivative of <G, Y> along the tangent, as a function of the parameters."""
            along_A = first_derivative(self.point, self._loewner(*parameters), direction).conj() * tangent.A
            along_parameters = derivative_by_values(direction) * _jvp(self._values, parameters, tangent.parameters)
            total: Tensor = along_A.real.sum() + along_parameters.sum()
            return total

        pull_back = torch.func.vjp(slope, *self.parameters)[1]
        return gA, *pull_back(torch.ones_like(self.point.S[(0,) * self.point.S.ndim]))

    def second_derivative(self, one: Tangent, other: Tangent) -> Tensor:
        """Return the second derivative of Y along two tangents, symmetric in them."""
        d2Y = second_derivative(self.point, self.shrinkage.with_parameters(self.parameters), one.A, other.A)
        if not self.parameters:
            return d2Y
        for first, second in ((one, other), (other, one)):
            d2Y = d2Y + first_derivative(self.point, self._loewner_along(first), project(self.point, second.A))

        def values_along_one(*parameters: Tensor) -> Tensor:
            return _jvp(self._values, parameters, one.parameters)  # type: ignore[no-any-return]

        return d2Y + recompose(self.point, _jvp(values_along_one, self.parameters, other.parameters))

    def _values(self, *parameters: Tensor) -> Tensor:
        return self.shrinkage.with_parameters(parameters).values(self.point.S)

    def _loewner(self, *parameters: Tensor) -> LoewnerMatrix:
        return loewner_matrix(self.shrinkage.with_parameters(parameters), self.point.S)

    def _values_along(self, tangent: Tangent) -> Tensor:
        return _jvp(self._values, self.parameters, tangent.parameters)  # type: ignore[no-any-return]

    def _loewner_along(self, tangent: Tangent) -> LoewnerMatrix:
        return _jvp(self._loewner, self.parameters, tangent.parameters)  # type: ignore[no-any-return]


def _jvp(function: Callable[..., Any], primals: Sequence[Tensor], tangents: Sequence[Tensor]) -> Any:
    """Return the derivative of a function along tangents, by differentiating its pull-back, which is linear.

    ``torch.func.jvp`` does not nest in the forward mode of autograd.
    """
    outputs, pull_back, *_ = torch.func.vjp(function, *primals)
    pull_back_twice = torch.func.vjp(pull_back, tree_map(torch.zeros_like, outputs))[1]
    derivative: Any = pull_back_twice(tuple(tangents))[0]
    return derivative
