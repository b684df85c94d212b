"""The method of conjugate gradients, differentiated implicitly."""

import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lowrank_unroll.linalg import full_precision, not_differentiable

LinearMap = Callable[[Tensor], Tensor]

TOLERANCE = 1e-6
ITERATIONS = 100
REFUSAL = (
    "second derivatives of a solution by conjugate gradients are not implemented; partial isometries, such as a single "
    "coil, do without"
)


def solve_cg(system: LinearMap, right_hand_side: Tensor) -> Tensor:
    """Solve B x = b for Hermitian positive definite B, differentiably with respect to b and the tensors of B.

    Implicit differentiation: the gradient g solves B g = gx, again by conjugate gradients, for the gradient gx at the
    solution x. Memory does not grow with the iterations. Second derivatives are not implemented.

    Args:
        system: applies B to tensors of the shape of b, each sample of the batch (first dim) by itself.
        right_hand_side: b, (batch, ...), real or complex.

    Returns:
        x, shape of b, with a relative residual ||b - B x|| / ||b|| of 1e-6 in each sample, or after 100 iterations,
        with a warning. The relative error of x is up to the condition number of B times that.

    >>> weight = torch.tensor(2.0, requires_grad=True)
    >>> x = solve_cg(lambda x: weight * x, torch.tensor([[6.0]]))
    >>> x.backward()
    >>> x.item(), weight.grad  # d/dw (6 / w) = -6 / w^2
    (3.0, tensor(-1.5000))
    """
    with torch.no_grad():
        solution = conjugate_gradients(system, right_hand_side)
    # The residual is almost zero; its gradient is that of b - B x for a fixed solution x.
    return solution + _Inverse.apply(right_hand_side - system(solution), system)  # type: ignore[no-untyped-call, no-any-return]


def conjugate_gradients(
    system: LinearMap, right_hand_side: Tensor, tolerance: float = TOLERANCE, iterations: int = ITERATIONS
) -> Tensor:
    """Solve B x = b for Hermitian positive definite B (Hestenes & Stiefel, 1952), from x = 0.

    Each sample stops by itself, so that its solution does not depend on the rest of the batch.

    Args:
        system: applies B to tensors of the shape of b, each sample of the batch (first dim) by itself.
        right_hand_side: b, (batch, ...), real or complex.
        tolerance: of ||b - B x|| / ||b|| in each sample.
        iterations: the most iterations, after which a warning says the residual that they reached.

    Returns:
        x, shape and dtype of b; NaN in the samples where b holds NaN or infinity.

    >>> diagonal = torch.tensor([1.0, 2.0, 4.0])
    >>> conjugate_gradients(lambda x: diagonal * x, torch.tensor([[1.0, 1.0, 1.0]]))
    tensor([[1.0000, 0.5000, 0.2500]])
    """
    for iterate in islice(cg_iterates(system, right_hand_side, tolerance), iterations + 1):
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
    """An iterate of conjugate gradients.

    Attributes:
        solution: x, (batch, ...).
        active: True for the samples that go on, boolean, (batch, 1, ...).
        residual: ||b - B x|| / ||b||, real, (batch, 1, ...).
    """

    solution: Tensor
    active: Tensor
    residual: Tensor


def cg_iterates(system: LinearMap, right_hand_side: Tensor, tolerance: float) -> Iterator[Iterate]:
    """Yield the iterates of :func:`conjugate_gradients` without end, first x = 0; arguments as there.

    Samples that reached the tolerance keep their solution.
    """
    # Scale each right-hand side to maximum 1, so that squared norms neither over- nor underflow; NaN and infinity
    # propagate.
    unit = right_hand_side.abs().flatten(1).amax(1).reshape(-1, *[1] * (right_hand_side.ndim - 1))
    right_hand_side = right_hand_side / torch.where(unit > 0, unit, 1)
    solution, residual, direction = torch.zeros_like(right_hand_side), right_hand_side, right_hand_side
    energy = whole = _inner(residual, residual)
    active = energy > tolerance**2 * whole
    while True:
        yield Iterate(solution * unit, active, (energy / whole).sqrt())
        image = system(direction)
        curvature = _inner(direction, image)
        active = active & (curvature > 0)  # it vanishes in the null space, where the residual cannot shrink
        step = torch.where(active, energy / torch.where(active, curvature, 1), 0)  # with a finite gradient
        solution = solution + step * direction
        residual = residual - step * image
        previous, energy = energy, torch.where(active, _inner(residual, residual), energy)
        direction = residual + torch.where(active, energy / torch.where(active, previous, 1), 0) * direction
        active = active & (energy > tolerance**2 * whole)


class _Inverse(torch.autograd.Function):
    """Apply B^-1 to a residual that is zero up to the tolerance: zero, with the gradient of B^-1."""

    @staticmethod
    def forward(ctx: Any, residual: Tensor, system: LinearMap) -> Tensor:
        ctx.system = system
        ctx.save_for_backward(residual)
        return torch.zeros_like(residual)

    @staticmethod
    @full_precision
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        with torch.no_grad():
            inverse = conjugate_gradients(ctx.system, gradient)
        # The residual depends on every tensor that the system depends on.
        return not_differentiable(inverse, REFUSAL, gradient, *ctx.saved_tensors), None


def _inner(one: Tensor, other: Tensor) -> Tensor:
    """Return Re <one, other> of each sample, (batch, 1, ...)."""
    products = (one.conj() * other).real.flatten(1).sum(1)
    return products.reshape(-1, *[1] * (one.ndim - 1))
