"""Derivatives of Y = U f(S) V^H in the matrix A and the parameters of f together, as pure functions of tensors.

A step is a direction of both: a matrix, and one tensor for each parameter.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from lowrank_unroll.linalg import native
from lowrank_unroll.linalg.derivatives import (
    Direction,
    Point,
    Table,
    first_derivative,
    in_singular_bases,
    second_derivative,
    spectral,
    table,
)
from lowrank_unroll.linalg.shrinkage import Shrinkage


class Step(NamedTuple):
    """A direction of A, (..., m, n), and of each parameter."""

    A: Tensor
    parameters: Sequence[Tensor]


class ParametrizedFunction:
    """Y as a function of A and the parameters, and its derivatives at one place.

    Args:
        point: where A is.
        shrinkage: f.
        parameters: where the parameters are.
    """

    def __init__(self, point: Point, shrinkage: Shrinkage, parameters: Sequence[Tensor]) -> None:
        self.point = point
        self.shrinkage = shrinkage
        self.parameters = parameters

    def tangent(self, step: Step) -> Tensor:
        """The derivative of Y along a step."""
        dY = first_derivative(self.point, self._table(*self.parameters), in_singular_bases(self.point, step.A))
        return dY + spectral(self.point, self._moved_values(step)) if self.parameters else dY

    def gradient(self, G: Tensor, *, with_parameters: bool = True) -> tuple[Tensor, ...]:
        """The gradients of <G, Y> with respect to A and, if wanted, to each parameter."""
        gA, slopes = _derivative(self.point, self._table(*self.parameters), G)
        if not (with_parameters and self.parameters):
            return (gA,)
        pull_back = torch.func.vjp(self._values, *self.parameters)[1]
        return gA, *pull_back(slopes)

    def hessian(self, G: Tensor, step: Step) -> tuple[Tensor, ...]:
        """The derivatives of the gradients of <G, Y> along a step: its Hessian, which is symmetric, times the step."""
        gA = second_derivative(self.point, self.shrinkage.with_parameters(self.parameters), G, step.A)
        if not self.parameters:
            return (gA,)
        direction = in_singular_bases(self.point, G)
        gA = gA + first_derivative(self.point, self._moved_table(step), direction)

        def slope(*parameters: Tensor) -> Tensor:
            """The derivative of <G, Y> along the step, as a function of where the parameters are."""
            along_A = first_derivative(self.point, self._table(*parameters), direction).conj() * step.A
            along_parameters = _real_diagonal(direction) * _push_forward(self._values, parameters, step.parameters)
            total: Tensor = along_A.real.sum() + along_parameters.sum()
            return total

        pull_back = torch.func.vjp(slope, *self.parameters)[1]
        return gA, *pull_back(torch.ones_like(self.point.S[(0,) * self.point.S.ndim]))

    def second_tangent(self, one: Step, other: Step) -> Tensor:
        """The second derivative of Y along two steps, symmetric in them."""
        d2Y = second_derivative(self.point, self.shrinkage.with_parameters(self.parameters), one.A, other.A)
        if not self.parameters:
            return d2Y
        for step, along in ((one, other), (other, one)):
            d2Y = d2Y + first_derivative(self.point, self._moved_table(step), in_singular_bases(self.point, along.A))

        def slopes(*parameters: Tensor) -> Tensor:
            return _push_forward(self._values, parameters, one.parameters)  # type: ignore[no-any-return]

        return d2Y + spectral(self.point, _push_forward(slopes, self.parameters, other.parameters))

    def _values(self, *parameters: Tensor) -> Tensor:
        return self.shrinkage.with_parameters(parameters).values(self.point.S)

    def _table(self, *parameters: Tensor) -> Table:
        return table(self.shrinkage.with_parameters(parameters), self.point.S)

    def _moved_values(self, step: Step) -> Tensor:
        return _push_forward(self._values, self.parameters, step.parameters)  # type: ignore[no-any-return]

    def _moved_table(self, step: Step) -> Table:
        return _push_forward(self._table, self.parameters, step.parameters)  # type: ignore[no-any-return]


def _derivative(point: Point, tabulated: Table, E: Tensor) -> tuple[Tensor, Tensor]:
    """The derivative of Y in the direction E, and how <E, Y> changes with each f_i."""
    compiled = native.first_derivative(point, tabulated, E)
    if compiled is not None:
        return compiled
    direction = in_singular_bases(point, E)
    return first_derivative(point, tabulated, direction), _real_diagonal(direction)


def _real_diagonal(direction: Direction) -> Tensor:
    """Re diag(M): with M = U^H G V, how <G, Y> changes with each f_i."""
    return direction.M.diagonal(dim1=-2, dim2=-1).real


def _push_forward(function: Callable[..., Any], inputs: Sequence[Tensor], directions: Sequence[Tensor]) -> Any:
    """The derivative of a function in a direction, by differentiating its pull-back, which is linear.

    ``torch.func.jvp`` does not nest in the forward mode of autograd.
    """
    outputs, pull_back, *_ = torch.func.vjp(function, *inputs)
    pull_back_twice = torch.func.vjp(pull_back, tree_map(torch.zeros_like, outputs))[1]
    pushed: Any = pull_back_twice(tuple(directions))[0]
    return pushed
