"""Total variation of series, in time and space."""

import torch
from torch import Tensor

from lowrank_unroll.linalg import native

AXES = (1, 2, 3)  # time, height, width
# One over a bound of ||D D^H||: each difference has a squared norm of at most 4.
STEP_SIZE = 1 / (4 * len(AXES))


def total_variation_step(series: Tensor, dual: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Take one step towards the proximal map of anisotropic total variation, by its dual problem.

        argmin_x 1/2 ||x - v||^2 + sum_d w_d ||D_d x||_1 = v - D^H q,    q = argmin ||v - D^H q||^2 with abs(q_d) <= w_d

    D_d are the differences of neighbors in time, height and width (Chambolle, "An algorithm for total variation
    minimization and applications", J. Math. Imaging Vision 20, 2004). The step is one of projected gradient descent. An
    iterative method needs one such step per iteration, if it starts it from the q of the iteration before.

    Args:
        series: v, (batch, time, height, width), real or complex.
        dual: q to start from, (3, batch, time, height, width); zeros at first.
        weights: w, (3, batch), non-negative, in the unit of the series.

    Returns:
        x and the next q, in the shapes of ``series`` and ``dual``.
    """
    compiled = native.total_variation_step(series, dual, weights, STEP_SIZE)
    if compiled is not None:
        return compiled
    dual = dual + STEP_SIZE * differences(series - adjoint_differences(dual))
    dual = _project(dual, weights[..., None, None, None])
    return series - adjoint_differences(dual), dual


def differences(series: Tensor) -> Tensor:
    """Subtract each frame, row and column of a series (batch, time, height, width) from the next one.

    Returns:
        (3, batch, time, height, width), zero where there is no next one.
    """
    result = series.new_zeros((len(AXES), *series.shape))
    for number, axis in enumerate(AXES):  # autograd cannot write into the views that iterating over `result` gives
        result[number].narrow(axis, 0, series.shape[axis] - 1).copy_(series.diff(dim=axis))
    return result


def adjoint_differences(dual: Tensor) -> Tensor:
    """Apply the adjoint of :func:`differences` to (3, batch, time, height, width); return (batch, time, ...)."""
    result = torch.zeros_like(dual[0])
    for axis, part in zip(AXES, dual, strict=True):
        length = part.shape[axis] - 1
        difference = part.narrow(axis, 0, length)
        result.narrow(axis, 0, length).sub_(difference)
        result.narrow(axis, 1, length).add_(difference)
    return result


def _project(values: Tensor, bound: Tensor) -> Tensor:
    """Scale values down to a magnitude of at most a bound."""
    # Squares take a fifth of the time of complex magnitudes.
    squared = values.real.square() + values.imag.square() if values.is_complex() else values.square()
    tiny = torch.finfo(squared.dtype).tiny  # for zeros
    return values * (bound * squared.clamp_min(tiny).rsqrt()).clamp_max(1)
