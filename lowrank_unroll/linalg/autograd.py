"""Tools for functions with derivatives of their own: who is watching, and where differentiation ends."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from lowrank_unroll.torch_private import FakeTensor, are_transforms_active, has_dispatch_mode, is_jit_tracing


def is_tracing(tensor: Tensor) -> bool:
    """Return whether a compiler, a tracer or ``torch.func`` is watching, or a tensor has no values to read."""
    if torch.compiler.is_compiling() or are_transforms_active() or is_jit_tracing():
        return True
    return tensor.is_meta or isinstance(tensor, FakeTensor) or has_dispatch_mode()


def detached(tensors: Iterable[Any]) -> list[Any]:
    """Return the tensors without their graphs, and None where there is none."""
    return [None if tensor is None else tensor.detach() for tensor in tensors]


def not_differentiable(value: Tensor, message: str, *sources: Tensor) -> Tensor:
    """Return the value; raise an error when it is differentiated with respect to its sources.

    Without it, a derivative that was computed outside the graph would count as a constant, and higher derivatives would
    be zero; ``torch.autograd.grad`` does not raise the error of ``once_differentiable``.

    Args:
        value: computed from the sources without a graph.
        message: of the NotImplementedError.
        sources: with their graphs.
    """
    return _NotDifferentiable.apply(value, message, *sources)  # type: ignore[no-untyped-call, no-any-return]


class _NotDifferentiable(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, message: str, *sources: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.message = inputs[1]

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Tensor:
        raise NotImplementedError(ctx.message)

    @staticmethod
    def jvp(ctx: Any, *_: Tensor | None) -> Tensor:
        raise NotImplementedError(ctx.message)
