"""Spectral functions Y = U f(S) V^H in autograd, with exact derivatives to second order in every mode.

Y, its gradient and its tangent are three functions of autograd, whose derivatives are each other and the second ones:

    of Y               backward: gradient                  forward: tangent
    of the gradient    backward: tangent, Hessian          forward: gradient + Hessian
    of the tangent     backward: gradient, Hessian         forward: tangent + second derivative

U, S and Vh, which come without a graph, count as constants: what their motion adds is in the formulas.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from lowrank_unroll.linalg import native
from lowrank_unroll.linalg.batches import PART, part_by_part, traced
from lowrank_unroll.linalg.derivatives import Point, spectral
from lowrank_unroll.linalg.joint_derivatives import ParametrizedFunction, Step
from lowrank_unroll.linalg.last_derivative import last_derivative
from lowrank_unroll.linalg.precision import exact
from lowrank_unroll.linalg.shrinkage import Shrinkage

POINT = len(Point._fields)
REFUSAL = (
    "spectral functions are differentiated twice at most; third derivatives, and derivatives of second ones with "
    "respect to their direction, which torch.autograd.functional.hvp takes and vhp does not, are not implemented"
)


def spectral_function_at(point: Point, shrinkage: Shrinkage) -> Tensor:
    """Y = U f(S) V^H at a tall or square point, differentiable in A and in the parameters of the shrinkage."""
    parameters = shrinkage.parameters(point.S)
    if torch._C._is_tracing():  # noqa: SLF001  as in batches.py
        # The tracer compares the shrinkage of two runs as text, of which the graph of its parameters is a part.
        shrinkage = shrinkage.with_parameters([parameter.detach() for parameter in parameters])
    function: Any = _SpectralFunction if traced(point.A) else _EagerSpectralFunction
    return function.apply(shrinkage, *point, *parameters)  # type: ignore[no-any-return]


class _SpectralFunction(torch.autograd.Function):
    """Y of a point and the parameters of a shrinkage."""

    generate_vmap_rule = True

    @staticmethod
    def forward(shrinkage: Shrinkage, *place: Tensor) -> Tensor:
        point, parameters = Point(*place[:POINT]), place[POINT:]
        f = shrinkage.with_parameters(parameters).values(point.S)
        compiled = native.spectral(point, f)
        return spectral(point, f) if compiled is None else compiled

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _keep(ctx, *inputs)

    @staticmethod
    @exact
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor | None, ...]:
        place = ctx.saved_tensors  # once: a checkpoint gives them out once
        with_parameters = any(ctx.needs_input_grad[1 + POINT :])
        if _is_differentiated_again(G):
            differentiable: Any = _Gradient
            gA, *gparameters = differentiable.apply(ctx.shrinkage, with_parameters, G, *place)
        elif G.nbytes <= PART or native.takes(G):  # the first asks for less, which shows at one small matrix
            gA, *gparameters = _Gradient.forward(ctx.shrinkage, with_parameters, G, *place)
        else:
            gA, *gparameters = part_by_part(partial(_Gradient.forward, ctx.shrinkage, with_parameters), G, *place)
        return None, *_of_place(gA, gparameters or [None] * len(place[POINT:]))

    @staticmethod
    @exact
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor:
        place = ctx.saved_tensors
        step = _step(tangents, place)
        differentiable: Any = _Tangent
        return differentiable.apply(ctx.shrinkage, step.A, *step.parameters, *place)  # type: ignore[no-any-return]


class _EagerSpectralFunction(_SpectralFunction):
    """The same where torch.func is not watching.

    For a function with ``setup_context``, autograd binds the arguments to a signature at every call, which takes a
    third of the time of a small matrix.
    """

    setup_context = torch.autograd.Function.setup_context

    @staticmethod
    def forward(ctx: Any, shrinkage: Shrinkage, *place: Tensor) -> Tensor:  # type: ignore[override]
        _keep(ctx, shrinkage, *place)
        return _SpectralFunction.forward(shrinkage, *place)


class _Gradient(torch.autograd.Function):
    """The gradients of <G, Y> with respect to A and, if wanted, the parameters."""

    generate_vmap_rule = True

    @staticmethod
    def forward(shrinkage: Shrinkage, with_parameters: bool, G: Tensor, *place: Tensor) -> tuple[Tensor, ...]:
        return _function(shrinkage, place).gradient(G, with_parameters=with_parameters)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        shrinkage, ctx.with_parameters, *tensors = inputs
        _keep(ctx, shrinkage, *tensors)

    @staticmethod
    @exact
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        G, *place = _detached(ctx.saved_tensors)
        D, *directions = _detached(cotangents)
        step = Step(D, directions or [torch.zeros_like(parameter) for parameter in place[POINT:]])
        function = _function(ctx.shrinkage, place)
        gA, *gparameters = function.hessian(G, step)
        gradients = (function.tangent(step), *_of_place(gA, gparameters))
        return None, None, *_sealed(gradients, *cotangents, *ctx.saved_tensors)

    @staticmethod
    @exact
    def jvp(ctx: Any, _: None, __: None, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        G, *place = _detached(ctx.saved_tensors)
        dG, *moves = _detached(tangents)
        function = _function(ctx.shrinkage, place)
        moved = function.gradient(_filled(dG, G), with_parameters=ctx.with_parameters)
        bent = function.hessian(G, _step(moves, place))
        return _sealed([one + other for one, other in zip(moved, bent, strict=False)], *tangents, *ctx.saved_tensors)


class _Tangent(torch.autograd.Function):
    """The derivative of Y along a step of A and the parameters."""

    generate_vmap_rule = True

    @staticmethod
    def forward(shrinkage: Shrinkage, *step_and_place: Tensor) -> Tensor:
        step, place = _split(step_and_place)
        return _function(shrinkage, place).tangent(step)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _keep(ctx, *inputs)

    @staticmethod
    @exact
    def backward(ctx: Any, C: Tensor) -> tuple[Tensor | None, ...]:
        step, place = _split(_detached(ctx.saved_tensors))
        function = _function(ctx.shrinkage, place)
        gA, *gparameters = function.hessian(C.detach(), step)
        gradients = (*function.gradient(C.detach()), *_of_place(gA, gparameters))
        return None, *_sealed(gradients, C, *ctx.saved_tensors)

    @staticmethod
    @exact
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor | None:
        step, place = _split(_detached(ctx.saved_tensors))
        changes, moves = _split(_detached(tangents))
        changed = Step(_filled(changes.A, step.A), list(map(_filled, changes.parameters, step.parameters)))
        function = _function(ctx.shrinkage, place)
        tangent = function.tangent(changed) + function.second_tangent(step, _step(moves, place))
        return _sealed([tangent], *tangents, *ctx.saved_tensors)[0]


def _is_differentiated_again(G: Tensor) -> bool:
    """Return whether a gradient needs a graph or tangents of its own."""
    return torch.is_grad_enabled() or traced(G) or forward_ad._current_level >= 0  # noqa: SLF001  no public name


def _keep(ctx: Any, shrinkage: Shrinkage, *tensors: Tensor) -> None:
    ctx.shrinkage = shrinkage
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)


def _function(shrinkage: Shrinkage, place: Sequence[Tensor]) -> ParametrizedFunction:
    return ParametrizedFunction(Point(*place[:POINT]), shrinkage, place[POINT:])


def _split(step_and_place: Sequence[Any]) -> tuple[Step, Sequence[Any]]:
    parameters = (len(step_and_place) - 1 - POINT) // 2
    return Step(step_and_place[0], step_and_place[1 : 1 + parameters]), step_and_place[1 + parameters :]


def _of_place(gA: Tensor, gparameters: Iterable[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Gradients with respect to a point, whose factors have none, and to the parameters."""
    return gA, *[None] * (POINT - 1), *gparameters


def _step(tangents: Sequence[Tensor | None], place: Sequence[Tensor]) -> Step:
    """The step that tangents of a place make; those of factors say nothing."""
    return Step(_filled(tangents[0], place[0]), list(map(_filled, tangents[POINT:], place[POINT:])))


def _filled(tangent: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if tangent is None else tangent


def _detached(tensors: Iterable[Any]) -> list[Any]:
    return [None if tensor is None else tensor.detach() for tensor in tensors]


def _sealed(values: Iterable[Tensor | None], *sources: Tensor | None) -> tuple[Tensor | None, ...]:
    given = [source for source in sources if source is not None]
    return tuple(None if value is None else last_derivative(value, REFUSAL, *given) for value in values)
