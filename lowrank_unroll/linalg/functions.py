"""Functions of singular values with exact gradients: what users of this package call."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

import torch
from torch import Tensor

from lowrank_unroll.linalg.checks import check_matrices
from lowrank_unroll.linalg.derivatives import Point
from lowrank_unroll.linalg.drivers import Driver, gram_is_accurate, gram_is_faster, gram_point, svd_point
from lowrank_unroll.linalg.largest import largest_singular_value
from lowrank_unroll.linalg.precision import at_least_single, exact
from lowrank_unroll.linalg.shrinkage import Range, Shrinkage
from lowrank_unroll.linalg.spectral import spectral_function_at
from lowrank_unroll.linalg.thresholding import Soft


def spectral_function(A: Tensor, shrinkage: Shrinkage, *, driver: Driver = "auto") -> Tensor:
    """Apply a scalar function to the singular values: Y = U f(S) V^H.

    The gradient is exact for every A, repeated and zero singular values included, wherever one exists, since it
    differentiates Y as a map of A rather than through U and V. First and second derivatives in forward and reverse mode
    and in every mixture of them; ``torch.func`` transforms, ``torch.export`` and ``torch.compile`` (without
    ``fullgraph``) work. In single precision values below 1e-37 lose digits.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point; half precision is computed in single.
        shrinkage: the function, such as :class:`Soft`; its parameters are differentiable.
        driver: "svd"; "gram", the eigenvalues of A^H A in double precision, which refuses where it would be less
            accurate; or "auto", the faster of them that is accurate.

    Returns:
        Y, shape and dtype of A.

    Raises:
        TypeError: if A is not a floating-point tensor, or a parameter is complex.
        ValueError: if a parameter is out of its range or does not fit the batch; if A is no batch of matrices, or a
            matrix holds NaN or infinity; names its index in the batch; if ``driver="gram"`` would be inaccurate.
    """
    return _apply(A, shrinkage, lambda point: shrinkage, driver)


def singular_value_threshold(
    A: Tensor, threshold: Tensor | float, *, relative: bool = False, driver: Driver = "auto"
) -> Tensor:
    """Soft-threshold the singular values: the proximal map of threshold * nuclear norm.

    As :func:`spectral_function` of :class:`Soft`. The gradient with respect to A is never larger than the one that
    comes in (absolute thresholds); where a singular value equals the threshold it is a generalised gradient.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point; half precision is computed in single.
        threshold: non-negative, in the unit of A (or, if relative, as a fraction of each matrix's largest singular
            value); a number or a real tensor that broadcasts to the batch shape (...). Differentiable.
        relative: multiply the threshold by each matrix's largest singular value. That value has no gradient where it
            is repeated; the subgradient that averages over the repeated values is used.
        driver: as for :func:`spectral_function`.

    Returns:
        Y, shape and dtype of A.

    Raises:
        TypeError: if A is not a floating-point tensor.
        ValueError: if the threshold is negative, NaN or, relative, infinite (a tensor on another device than the CPU is
            not waited for), or does not broadcast to the batch; if A is no batch of matrices, or a matrix holds NaN or
            infinity; if ``driver="gram"`` would be inaccurate.
    """
    if not relative:
        return spectral_function(A, Soft(threshold), driver=driver)
    fraction = Fraction(threshold)
    return _apply(A, fraction, lambda point: Soft(fraction.threshold * largest_singular_value(point)), driver)


@dataclass(frozen=True)
class Fraction(Soft):
    """Soft thresholding of singular values in units of the largest."""

    ranges: ClassVar[Mapping[str, Range]] = {
        "threshold": (lambda value: 0 <= value < math.inf, "a non-negative, finite fraction")
    }


@exact
def _apply(A: Tensor, given: Shrinkage, shrinkage_at: Callable[[Point], Shrinkage], driver: Driver) -> Tensor:
    if driver not in get_args(Driver):
        raise ValueError(f"driver is {driver!r}, expected one of {', '.join(map(repr, get_args(Driver)))}")
    check_matrices(A)
    given.check()
    if A.numel() == 0:
        no_values = A.real.new_zeros(*A.shape[:-2], min(A.shape[-2:]))
        return A + 0 * sum(parameter.sum() for parameter in given.parameters(no_values))  # which keeps their gradients
    if A.dtype in {torch.float16, torch.bfloat16}:
        return _apply(at_least_single(A), given, shrinkage_at, driver).to(A.dtype)
    if A.shape[-2] < A.shape[-1]:
        return _apply(A.mH, given, shrinkage_at, driver).mH.resolve_conj()
    if driver == "gram" or (driver == "auto" and gram_is_faster(A)):
        point = gram_point(A)
        shrinkage = shrinkage_at(point)
        if gram_is_accurate(point, shrinkage):
            return spectral_function_at(point, shrinkage)
        if driver == "gram":
            raise ValueError(
                "driver='gram' would lose accuracy: it squares the singular values, and the shrinkage keeps some that "
                f"are too small beside the largest for {A.dtype}; use driver='svd' or 'auto', or a larger threshold"
            )
    point = svd_point(A)
    return spectral_function_at(point, shrinkage_at(point))
