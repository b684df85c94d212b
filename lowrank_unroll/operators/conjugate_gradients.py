"""The method of conjugate gradients, differentiated implicitly."""

import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowrank_unroll.linalg import exact, last_derivative

System = Callable[[Tensor], Tensor]

TOLERANCE = 1e-6
ITERATIONS = 100
REFUSAL = (
    "second derivatives of a solution by conjugate gradients are not implemented; partial isometries, such as a single "
    "coil, do without"
)


def solve(system: System, right_hand_side: Tensor) -> Tensor:
    """Solve B x = b for Hermitian positive definite B, with gradients with respect to b and whatever B is made of.

    The gradient at x solves B g = gx by conjugate gradients in turn (implicit differentiation): memory does not grow
    with the iterations, and the gradient is that of the solution, not of the iterations. It has no derivative in turn.

    Args:
        system: applies B to tensors of the shape of b, each sample of the batch (first dim) by itself.
        right_hand_side: b, (batch, ...), real or complex.

    Returns:
        x, shape of b, with a relative residual ||b - B x|| / ||b|| of 1e-6 in each sample, or after 100 iterations,
        with a warning. The relative error of x is up to the condition number of B times that.
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
        x, shape and dtype of b; NaN in the samples where b holds NaN or infinity. A warning tells of a tolerance that
        was not reached.
    """
    for iterate in islice(iterates(system, right_hand_side, tolerance), iterations + 1):
        if not iterate.active.any():
            return iterate.solution
    reached = torch.where(iterate.active, iterate.residual, 0).max().item()
    warnings.warn(
        f"conjugate gradients reached a relative residual of {reached:.1e} in {iterations} iterations, not "
        f"{tolerance:.0e}; the solution may be inaccurate: give the data term less weight or start nearer",
        stacklevel=2,
    )
    return iterate.solution


class Iterate(NamedTuple):
    """What an iteration of conjugate gradients reached, and for which samples, (batch, 1, ...), others will follow."""

    solution: Tensor
    active: Tensor
    residual: Tensor  # relative, (batch, 1, ...)


def iterates(system: System, right_hand_side: Tensor, tolerance: float) -> Iterator[Iterate]:
    """The iterates of :func:`conjugate_gradients`, whose arguments these are: x = 0, and one more for each iteration.

    There is no end to them. Samples whose tolerance is reached stand still.
    """
    # In a unit of its own, so that no square of it over- or underflows; NaN and infinity go through it to the solution.
    unit = right_hand_side.abs().flatten(1).amax(1).reshape(-1, *[1] * (right_hand_side.ndim - 1))
    right_hand_side = right_hand_side / torch.where(unit > 0, unit, 1)
    solution, residual, direction = torch.zeros_like(right_hand_side), right_hand_side, right_hand_side
    energy = whole = _inner(residual, residual)
    active = energy > tolerance**2 * whole
    while True:
        yield Iterate(solution * unit, active, (energy / whole).sqrt())
        image = system(direction)
        curvature = _inner(direction, image)
        active = active & (curvature > 0)  # zero for a singular system, whose solution is complete then
        step = torch.where(active, energy / torch.where(active, curvature, 1), 0)  # also the gradient is finite
        solution = solution + step * direction
        residual = residual - step * image
        previous, energy = energy, torch.where(active, _inner(residual, residual), energy)
        direction = residual + torch.where(active, energy / torch.where(active, previous, 1), 0) * direction
        active = active & (energy > tolerance**2 * whole)


class _Inverse(torch.autograd.Function):
    """B^-1 applied to a residual that is zero but for the tolerance of the solver."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, system: System) -> Tensor:
        ctx.system = system
        ctx.save_for_backward(residual)
        return torch.zeros_like(residual)

    @staticmethod
    @exact
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        with torch.no_grad():
            inverse = conjugate_gradients(ctx.system, gradient)
        # The residual is made of everything that the system is made of.
        return last_derivative(inverse, REFUSAL, gradient, *ctx.saved_tensors), None


def _inner(one: Tensor, other: Tensor) -> Tensor:
    """Re <one, other> of each sample, (batch, 1, ...)."""
    products = (one.conj() * other).real.flatten(1).sum(1)
    return products.reshape(-1, *[1] * (one.ndim - 1))
