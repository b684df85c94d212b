"""Spectral functions Y = U f(S) V^H in autograd, with exact derivatives to second order in every mode.

Y, its gradient and its derivative along a tangent are three autograd functions. Their derivatives are each other and
the second derivatives of Y:

    of Y                backward: gradient                      forward: derivative
    of the gradient     backward: derivative, Hessian           forward: gradient + Hessian
    of the derivative   backward: gradient, Hessian             forward: derivative + second derivative

The primals are A, its factors and the parameters. The factors come without a graph and count as constants: the formulas
contain their derivatives.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from lowrank_unroll.linalg import native
from lowrank_unroll.linalg.autograd import detached, is_tracing, not_differentiable
from lowrank_unroll.linalg.batches import CHUNK_BYTES, map_chunks
from lowrank_unroll.linalg.derivatives import Point
from lowrank_unroll.linalg.joint_derivatives import ParametrizedFunction, Tangent
from lowrank_unroll.linalg.precision import full_precision
from lowrank_unroll.linalg.shrinkage import Shrinkage
from lowrank_unroll.torch_private import in_forward_mode, is_jit_tracing

POINT = len(Point._fields)
TWICE_AT_MOST = (
    "spectral functions are differentiated twice at most; third derivatives, and derivatives of second ones with "
    "respect to their direction, which torch.autograd.functional.hvp takes and vhp does not, are not implemented"
)


def spectral_function_at(point: Point, shrinkage: Shrinkage) -> Tensor:
    """Return Y = U f(S) V^H at a tall or square point, differentiable in A and in the parameters of the shrinkage."""
    parameters = shrinkage.parameters(point.S)
    if is_jit_tracing():
        # torch.jit.trace compares the shrinkages of two runs as text, which contains the graphs of their parameters.
        shrinkage = shrinkage.with_parameters([parameter.detach() for parameter in parameters])
    function: Any = _SpectralFunction if is_tracing(point.A) else _EagerSpectralFunction
    return function.apply(shrinkage, *point, *parameters)  # type: ignore[no-any-return]


class _SpectralFunction(torch.autograd.Function):
    """Y as a function of a point and the parameters of a shrinkage."""

    generate_vmap_rule = True

    @staticmethod
    def forward(shrinkage: Shrinkage, *primals: Tensor) -> Tensor:
        point, parameters = Point(*primals[:POINT]), primals[POINT:]
        return native.recompose(point, shrinkage.with_parameters(parameters).values(point.S))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _save(ctx, *inputs)

    @staticmethod
    @full_precision
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor | None, ...]:
        primals = ctx.saved_tensors  # read once: torch.utils.checkpoint gives them out once
        with_parameters = any(ctx.needs_input_grad[1 + POINT :])
        if torch.is_grad_enabled() or is_tracing(G) or in_forward_mode():  # the gradient may be differentiated
            differentiable: Any = _Gradient
            gA, *gparameters = differentiable.apply(ctx.shrinkage, with_parameters, G, *primals)
        elif G.nbytes <= CHUNK_BYTES or native.supports(G):  # the size first: asking for support takes longer
            gA, *gparameters = _Gradient.forward(ctx.shrinkage, with_parameters, G, *primals)
        else:
            gA, *gparameters = map_chunks(partial(_Gradient.forward, ctx.shrinkage, with_parameters), G, *primals)
        return None, *_primal_gradients(gA, gparameters or [None] * len(primals[POINT:]))

    @staticmethod
    @full_precision
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor:
        primals = ctx.saved_tensors
        dA, dparameters = _tangent(tangents, primals)
        differentiable: Any = _Derivative
        return differentiable.apply(ctx.shrinkage, dA, *dparameters, *primals)  # type: ignore[no-any-return]


class _EagerSpectralFunction(_SpectralFunction):
    """The same without support for torch.func.

    For a function with ``setup_context``, autograd binds the arguments to a signature at every call, which takes a
    third of the time of a small matrix.
    """

    setup_context = torch.autograd.Function.setup_context

    @staticmethod
    def forward(ctx: Any, shrinkage: Shrinkage, *primals: Tensor) -> Tensor:  # type: ignore[override]
        _save(ctx, shrinkage, *primals)
        return _SpectralFunction.forward(shrinkage, *primals)


class _Gradient(torch.autograd.Function):
    """The gradients of <G, Y> with respect to A and, if wanted, the parameters."""

    generate_vmap_rule = True

    @staticmethod
    def forward(shrinkage: Shrinkage, with_parameters: bool, G: Tensor, *primals: Tensor) -> tuple[Tensor, ...]:
        return _function(shrinkage, primals).gradient(G, with_parameters=with_parameters)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        shrinkage, ctx.with_parameters, *tensors = inputs
        _save(ctx, shrinkage, *tensors)

    @staticmethod
    @full_precision
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        G, *primals = detached(ctx.saved_tensors)
        A_cotangent, *parameter_cotangents = detached(cotangents)
        # The Hessian is symmetric: the cotangents of the gradients are a tangent of the primals.
        tangent = Tangent(A_cotangent, parameter_cotangents or [torch.zeros_like(p) for p in primals[POINT:]])
        function = _function(ctx.shrinkage, primals)
        gA, *gparameters = function.hessian_product(G, tangent)
        gradients = (function.derivative(tangent), *_primal_gradients(gA, gparameters))
        return None, None, *_final(gradients, *cotangents, *ctx.saved_tensors)

    @staticmethod
    @full_precision
    def jvp(ctx: Any, _: None, __: None, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        G, *primals = detached(ctx.saved_tensors)
        dG, *primal_tangents = detached(tangents)
        function = _function(ctx.shrinkage, primals)
        along_G = function.gradient(_or_zeros(dG, G), with_parameters=ctx.with_parameters)
        along_primals = function.hessian_product(G, _tangent(primal_tangents, primals))
        d_gradients = [one + other for one, other in zip(along_G, along_primals, strict=False)]
        return _final(d_gradients, *tangents, *ctx.saved_tensors)


class _Derivative(torch.autograd.Function):
    """The derivative of Y along a tangent of A and the parameters."""

    generate_vmap_rule = True

    @staticmethod
    def forward(shrinkage: Shrinkage, *tangent_and_primals: Tensor) -> Tensor:
        tangent, primals = _split(tangent_and_primals)
        return _function(shrinkage, primals).derivative(tangent)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _save(ctx, *inputs)

    @staticmethod
    @full_precision
    def backward(ctx: Any, G: Tensor) -> tuple[Tensor | None, ...]:
        tangent, primals = _split(detached(ctx.saved_tensors))
        function = _function(ctx.shrinkage, primals)
        gA, *gparameters = function.hessian_product(G.detach(), tangent)
        gradients = (*function.gradient(G.detach()), *_primal_gradients(gA, gparameters))
        return None, *_final(gradients, G, *ctx.saved_tensors)

    @staticmethod
    @full_precision
    def jvp(ctx: Any, _: None, *tangents: Tensor | None) -> Tensor | None:
        tangent, primals = _split(detached(ctx.saved_tensors))
        d_tangent, primal_tangents = _split(detached(tangents))
        d_parameters = list(map(_or_zeros, d_tangent.parameters, tangent.parameters))
        function = _function(ctx.shrinkage, primals)
        along_tangent = function.derivative(Tangent(_or_zeros(d_tangent.A, tangent.A), d_parameters))
        along_primals = function.second_derivative(tangent, _tangent(primal_tangents, primals))
        return _final([along_tangent + along_primals], *tangents, *ctx.saved_tensors)[0]


def _save(ctx: Any, shrinkage: Shrinkage, *tensors: Tensor) -> None:
    ctx.shrinkage = shrinkage
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)


def _function(shrinkage: Shrinkage, primals: Sequence[Tensor]) -> ParametrizedFunction:
    return ParametrizedFunction(Point(*primals[:POINT]), shrinkage, primals[POINT:])


def _split(tangent_and_primals: Sequence[Any]) -> tuple[Tangent, Sequence[Any]]:
    parameters = (len(tangent_and_primals) - 1 - POINT) // 2
    tangent = Tangent(tangent_and_primals[0], tangent_and_primals[1 : 1 + parameters])
    return tangent, tangent_and_primals[1 + parameters :]


def _primal_gradients(gA: Tensor, gparameters: Iterable[Tensor | None]) -> tuple[Tensor | None, ...]:
    """Return the gradients with respect to all primals, of which the factors have none."""
    return gA, *[None] * (POINT - 1), *gparameters


def _tangent(tangents: Sequence[Tensor | None], primals: Sequence[Tensor]) -> Tangent:
    """Return the tangent that primals have; those of the factors are left out."""
    return Tangent(_or_zeros(tangents[0], primals[0]), list(map(_or_zeros, tangents[POINT:], primals[POINT:])))


def _or_zeros(tangent: Tensor | None, like: Tensor) -> Tensor:
    return torch.zeros_like(like) if tangent is None else tangent


def _final(derivatives: Iterable[Tensor | None], *sources: Tensor | None) -> tuple[Tensor | None, ...]:
    """Return second derivatives, which raise an error when they are differentiated with respect to their sources."""
    given = [source for source in sources if source is not None]
    return tuple(
        None if derivative is None else not_differentiable(derivative, TWICE_AT_MOST, *given)
        for derivative in derivatives
    )
