"""The method of conjugate gradients, differentiated implicitly."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lowrank_unroll.linalg import exact

System = Callable[[Tensor], Tensor]

TOLERANCE = 1e-6
ITERATIONS = 100


def solve(system: System, right_hand_side: Tensor) -> Tensor:
    """Solve B x = b for Hermitian positive definite B, with gradients with respect to b and whatever B is made of.

    The gradient at x solves B g = gx by conjugate gradients in turn (implicit differentiation): memory does not grow
    with the iterations, and the gradient is that of the solution, not of the iterations.

    Args:
        system: applies B to tensors of the shape of b, each sample of the batch (first dim) by itself.
        right_hand_side: b, (batch, ...), real or complex.

    Returns:
        x, shape of b, with a relative residual ||b - B x|| / ||b|| of 1e-6 in each sample, or after 100 iterations.
    """
    with torch.no_grad():
        solution = conjugate_gradients(system, right_hand_side)
    # The residual is next to nothing, but its gradient is that of b - B x for the solution held fixed.
    return solution + _Inverse.apply(right_hand_side - system(solution), system)  # type: ignore[no-untyped-call, no-any-return]


def conjugate_gradients(
    system: System, right_hand_side: Tensor, tolerance: float = TOLERANCE, iterations: int = ITERATIONS
) -> Tensor:
    """Solve B x = b for Hermitian positive definite B (Hestenes & Stiefel, 1952), from x = 0.

    Each sample stops by itself, so its solution does not depend on what else is in the batch.

    Args:
        system: applies B to tensors of the shape of b, each sample of the batch (first dim) by itself.
        right_hand_side: b, (batch, ...), real or complex.
        tolerance: of ||b - B x|| / ||b|| in each sample.
        iterations: at most so many.

    Returns:
        x, shape and dtype of b.
    """
    solution, residual, direction = torch.zeros_like(right_hand_side), right_hand_side, right_hand_side
    energy = _inner(residual, residual)
    target = tolerance**2 * energy
    active = energy > target
    for _ in range(iterations):
        if not active.any():
            break
        image = system(direction)
        curvature = _inner(direction, image)
        active = active & (curvature > 0)  # zero for a singular system, whose solution is complete then
        step = torch.where(active, energy / curvature, 0)
        solution = solution + step * direction
        residual = residual - step * image
        previous, energy = energy, torch.where(active, _inner(residual, residual), energy)
        direction = residual + torch.where(active, energy / previous, 0) * direction
        active = active & (energy > target)
    return solution


class _Inverse(torch.autograd.Function):
    """B^-1 applied to a residual that is zero but for the tolerance of the solver."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, system: System) -> Tensor:
        ctx.system = system
        return torch.zeros_like(residual)

    @staticmethod
    @once_differentiable
    @exact
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return conjugate_gradients(ctx.system, gradient), None


def _inner(one: Tensor, other: Tensor) -> Tensor:
    """Re <one, other> of each sample, (batch, 1, ...)."""
    products = (one.conj() * other).real.flatten(1).sum(1)
    return products.reshape(-1, *[1] * (one.ndim - 1))
