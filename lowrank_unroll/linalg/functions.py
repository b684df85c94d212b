"""Functions of singular values with exact gradients: what users of this package call."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.linalg.checks import check_matrices
from lowrank_unroll.linalg.decomposition import factors_of_tall
from lowrank_unroll.linalg.derivatives import Point
from lowrank_unroll.linalg.largest import largest_singular_value
from lowrank_unroll.linalg.precision import at_least_single, exact
from lowrank_unroll.linalg.shrinkage import Range, Shrinkage
from lowrank_unroll.linalg.spectral import spectral_function_at
from lowrank_unroll.linalg.thresholding import Soft


def spectral_function(A: Tensor, shrinkage: Shrinkage) -> Tensor:
    """Apply a scalar function to the singular values: Y = U f(S) V^H.

    The gradient is exact for every A, repeated and zero singular values included, wherever one exists, since it
    differentiates Y as a map of A rather than through U and V. First and second derivatives in forward and reverse mode
    and in every mixture of them; ``torch.func`` transforms, ``torch.export`` and ``torch.compile`` (without
    ``fullgraph``) work. In single precision values below 1e-37 lose digits.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point; half precision is computed in single.
        shrinkage: the function, such as :class:`Soft`; its parameters are differentiable.

    Returns:
        Y, shape and dtype of A.

    Raises:
        TypeError: if A is not a floating-point tensor, or a parameter is complex.
        ValueError: if a parameter is out of its range or does not fit the batch; if A is no batch of matrices, or a
            matrix holds NaN or infinity; names its index in the batch. (Small matrices on a GPU are not waited for: Y
            of such a matrix is NaN there.)
    """
    return _apply(A, shrinkage, lambda point: shrinkage)


def singular_value_threshold(A: Tensor, threshold: Tensor | float, *, relative: bool = False) -> Tensor:
    """Soft-threshold the singular values: the proximal map of threshold * nuclear norm.

    As :func:`spectral_function` of :class:`Soft`. The gradient with respect to A is never larger than the one that
    comes in (absolute thresholds); where a singular value equals the threshold it is a generalised gradient.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point; half precision is computed in single.
        threshold: non-negative, in the unit of A (or, if relative, as a fraction of each matrix's largest singular
            value); a number or a real tensor that broadcasts to the batch shape (...). Differentiable.
        relative: multiply the threshold by each matrix's largest singular value. That value has no gradient where it
            is repeated; the subgradient that averages over the repeated values is used.

    Returns:
        Y, shape and dtype of A.

    Raises:
        TypeError: if A is not a floating-point tensor.
        ValueError: if the threshold is negative, NaN or, relative, infinite (a tensor on another device than the CPU is
            not waited for), or does not broadcast to the batch; if A is no batch of matrices, or a matrix holds NaN or
            infinity (as for :func:`spectral_function`).
    """
    if not relative:
        return spectral_function(A, Soft(threshold))
    fraction = Fraction(threshold)
    return _apply(A, fraction, lambda point: Soft(fraction.threshold * largest_singular_value(point)))


@exact
def spectral_norm(A: Tensor) -> Tensor:
    """The largest singular value of each matrix; where it is repeated, its gradient is the mean of the subgradients.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point.

    Returns:
        Shape (...), real; 0 for a matrix without values.

    Raises:
        TypeError: if A is not a floating-point tensor.
        ValueError: if A is no batch of matrices, or a matrix holds NaN or infinity (as :func:`spectral_function`).
    """
    check_matrices(A)
    if A.numel() == 0:
        return A.real.new_zeros(A.shape[:-2])
    A = at_least_single(A if A.shape[-2] >= A.shape[-1] else A.mT)
    return largest_singular_value(Point(A, *factors_of_tall(A.detach())))


@dataclass(frozen=True)
class Fraction(Soft):
    """Soft thresholding of singular values in units of the largest."""

    ranges: ClassVar[Mapping[str, Range]] = {
        "threshold": (lambda value: 0 <= value < math.inf, "a non-negative, finite fraction")
    }


@exact
def _apply(A: Tensor, given: Shrinkage, shrinkage_at: Callable[[Point], Shrinkage]) -> Tensor:
    check_matrices(A)
    given.check()
    if A.numel() == 0:
        no_values = A.real.new_zeros(*A.shape[:-2], min(A.shape[-2:]))
        return A + 0 * sum(parameter.sum() for parameter in given.parameters(no_values))  # which keeps their gradients
    if A.dtype in {torch.float16, torch.bfloat16}:
        return _apply(at_least_single(A), given, shrinkage_at).to(A.dtype)
    if A.shape[-2] < A.shape[-1]:
        # A^T has the same singular values as A^H, and its gradient comes back without a conjugation left to do.
        return _apply(A.mT, given, shrinkage_at).mT
    point = Point(A, *factors_of_tall(A.detach()))
    return spectral_function_at(point, shrinkage_at(point))
