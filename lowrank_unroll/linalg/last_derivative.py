"""Derivatives that cannot be differentiated any further say so."""

from typing import Any

import torch
from torch import Tensor


def last_derivative(value: Tensor, refusal: str, *sources: Tensor) -> Tensor:
    """The value, which cannot be differentiated with respect to the sources that it is made of.

    Without it, a derivative computed outside the graph would count as a constant, and those of higher order come out
    as zero; the error of ``once_differentiable`` goes unnoticed by ``torch.autograd.grad``.

    Args:
        value: computed from the sources without a graph.
        refusal: what the error says.
        sources: with their graphs.
    """
    return _LastDerivative.apply(value, refusal, *sources)  # type: ignore[no-untyped-call, no-any-return]


class _LastDerivative(torch.autograd.Function):
    generate_vmap_rule = True

    @staticmethod
    def forward(value: Tensor, refusal: str, *sources: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.refusal = inputs[1]

    @staticmethod
    def backward(ctx: Any, *_: Tensor) -> Tensor:
        raise NotImplementedError(ctx.refusal)

    @staticmethod
    def jvp(ctx: Any, *_: Tensor | None) -> Tensor:
        raise NotImplementedError(ctx.refusal)
