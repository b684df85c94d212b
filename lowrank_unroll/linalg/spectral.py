"""Spectral functions Y = U f(S) V^H with their exact gradient, to second order."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from lowrank_unroll.linalg.batches import part_by_part, traced
from lowrank_unroll.linalg.derivatives import (
    Point,
    Table,
    first_derivative,
    in_singular_bases,
    second_derivative,
    spectral,
    table,
)
from lowrank_unroll.linalg.precision import exact
from lowrank_unroll.linalg.shrinkage import Shrinkage


def spectral_function_at(point: Point, shrinkage: Shrinkage) -> Tensor:
    """Y = U f(S) V^H at a tall or square point, differentiable in A and in the parameters of the shrinkage."""
    return _SpectralFunction.apply(shrinkage, *point, *shrinkage.parameters(point.S))  # type: ignore[no-untyped-call, no-any-return]


def _signature_once(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Spare autograd from inspecting the signature at every call, a third of the time for a small matrix."""
    forward.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    return forward


class _SpectralFunction(torch.autograd.Function):
    """Y of a point and the parameters of a shrinkage; U, S and Vh carry no gradient of their own."""

    generate_vmap_rule = True

    @staticmethod
    @_signature_once
    def forward(
        shrinkage: Shrinkage, A: Tensor, U: Tensor, S: Tensor, Vh: Tensor, scale: Tensor, *parameters: Tensor
    ) -> Tensor:
        return spectral(Point(A, U, S, Vh, scale), shrinkage.with_parameters(parameters).values(S))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.shrinkage = inputs[0]
        ctx.save_for_backward(*inputs[1:])
        ctx.save_for_forward(*inputs[1:])

    @staticmethod
    @exact
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors  # once: a checkpoint gives them out once
        point, parameters = saved[:5], saved[5:]
        with_parameters = any(ctx.needs_input_grad[6:])
        # A graph of the gradient is needed only to differentiate it again.
        if torch.is_grad_enabled() or traced():
            gradients: Any = _SpectralGradient
            gA, *rest = gradients.apply(ctx.shrinkage, with_parameters, G, *point, *parameters)
        else:
            gradient = partial(_SpectralGradient.forward, ctx.shrinkage, with_parameters)
            gA, *rest = part_by_part(gradient, G, *point, *parameters)
        return (None, gA, None, None, None, None, *(rest or [None] * len(parameters)))

    @staticmethod
    @exact
    def jvp(ctx: Any, _: None, dA: Tensor | None, *tangents: Tensor | None) -> Tensor:
        saved = ctx.saved_tensors
        point, parameters = Point(*saved[:5]), saved[5:]
        dY = torch.zeros_like(point.A)
        if dA is not None:
            tabulated = table(ctx.shrinkage.with_parameters(parameters), point.S)
            dY = dY + first_derivative(point, tabulated, in_singular_bases(point, dA))
        directions = [torch.zeros_like(p) if d is None else d for p, d in zip(parameters, tangents[4:], strict=True)]
        if directions:
            dY = dY + spectral(point, _push_forward(_values(ctx.shrinkage, point.S), parameters, directions))
        return dY


class _SpectralGradient(torch.autograd.Function):
    """The gradients with respect to A and, if wanted, the parameters, given G at Y."""

    generate_vmap_rule = True

    @staticmethod
    @_signature_once
    def forward(
        shrinkage: Shrinkage,
        with_parameters: bool,
        G: Tensor,
        A: Tensor,
        U: Tensor,
        S: Tensor,
        Vh: Tensor,
        scale: Tensor,
        *parameters: Tensor,
    ) -> tuple[Tensor, ...]:
        point = Point(A, U, S, Vh, scale)
        direction = in_singular_bases(point, G)
        gA = first_derivative(point, table(shrinkage.with_parameters(parameters), S), direction)
        if not with_parameters:
            return (gA,)
        pull_back = torch.func.vjp(_values(shrinkage, S), *parameters)[1]
        return gA, *pull_back(_real_diagonal(direction.M))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.shrinkage, ctx.with_parameters = inputs[:2]
        ctx.save_for_backward(*inputs[2:])

    @staticmethod
    @exact
    def backward(ctx: Any, D: Tensor, *directions: Tensor) -> tuple[Tensor | None, ...]:
        """Second derivatives; D is the cotangent of gA, the directions those of the parameters' gradients."""
        with torch.no_grad():
            gradients = _SpectralGradient._second_order(ctx, D, *directions)
        # once_differentiable would go unnoticed by torch.autograd.grad: its error is not connected to the inputs.
        sources = (D, *directions, *ctx.saved_tensors)
        seal: Any = _LastDerivative
        return tuple(None if value is None else seal.apply(value, *sources) for value in gradients)

    @staticmethod
    def _second_order(ctx: Any, D: Tensor, *directions: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients that :meth:`backward` returns."""
        saved = ctx.saved_tensors
        (G, *matrices), parameters = saved[:6], saved[6:]
        shrinkage: Shrinkage = ctx.shrinkage
        point = Point(*matrices)
        direction = in_singular_bases(point, G)

        def tabulate(*parameters: Tensor) -> Table:
            return table(shrinkage.with_parameters(parameters), point.S)

        gG = first_derivative(point, tabulate(*parameters), in_singular_bases(point, D))
        gA = second_derivative(point, shrinkage.with_parameters(parameters), G, D)
        if not parameters:
            return None, None, gG, gA, *[None] * 4
        directions = directions or tuple(torch.zeros_like(parameter) for parameter in parameters)

        # How the table moves with the parameters moves both gradients.
        moved = _push_forward(tabulate, parameters, directions)
        gG = gG + spectral(point, moved.f)
        gA = gA + first_derivative(point, moved, direction)

        def potential(*parameters: Tensor) -> Tensor:
            moved = _push_forward(tabulate, parameters, directions)
            inner: Tensor = (first_derivative(point, tabulate(*parameters), direction).conj() * D).real.sum()
            outer: Tensor = (_real_diagonal(direction.M) * moved.f).sum()
            return inner + outer

        pull_back = torch.func.vjp(potential, *parameters)[1]
        return None, None, gG, gA, *[None] * 4, *pull_back(torch.ones_like(point.S[(0,) * point.S.ndim]))


class _LastDerivative(torch.autograd.Function):
    """The identity on a value made of sources by which it cannot be differentiated."""

    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, *sources: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Nothing to keep."""

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Tensor:
        raise NotImplementedError("third derivatives of spectral functions are not implemented")


def _values(shrinkage: Shrinkage, S: Tensor) -> Callable[..., Tensor]:
    """f(S) as a function of the parameters."""
    return lambda *parameters: shrinkage.with_parameters(parameters).values(S)


def _real_diagonal(M: Tensor) -> Tensor:
    """Re diag(M): with M = U^H G V, how <G, Y> changes with each f_i."""
    return M.diagonal(dim1=-2, dim2=-1).real


def _push_forward(function: Callable[..., Any], inputs: Sequence[Tensor], directions: Sequence[Tensor]) -> Any:
    """The derivative of a function in a direction, by differentiating its pull-back, which is linear.

    ``torch.func.jvp`` does not nest in the forward mode of autograd.
    """
    outputs, pull_back, *_ = torch.func.vjp(function, *inputs)
    pull_back_twice = torch.func.vjp(pull_back, tree_map(torch.zeros_like, outputs))[1]
    pushed: Any = pull_back_twice(tuple(directions))[0]
    return pushed
