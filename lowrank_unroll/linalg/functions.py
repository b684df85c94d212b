"""Functions of singular values with exact gradients."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.linalg.decomposition import check_matrices, gram_svd
from lowrank_unroll.linalg.derivatives import Point
from lowrank_unroll.linalg.largest_singular_value import largest_singular_value
from lowrank_unroll.linalg.precision import at_least_single, full_precision
from lowrank_unroll.linalg.shrinkage import Range, Shrinkage
from lowrank_unroll.linalg.spectral import spectral_function_at
from lowrank_unroll.linalg.thresholding import Soft


def spectral_function(A: Tensor, shrinkage: Shrinkage) -> Tensor:
    """Apply a scalar function to the singular values: Y = U f(S) V^H.

    The gradient differentiates Y as a map of A rather than through U and V. It is exact wherever one exists, also at
    repeated and zero singular values. First and second derivatives work in every mixture of forward and reverse mode,
    as do ``torch.func`` transforms, ``torch.export`` and ``torch.compile`` (without ``fullgraph``). In single precision
    values below 1e-37 lose digits.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point; half precision is computed in single.
        shrinkage: the function, such as :class:`Soft`; its parameters are differentiable.

    Returns:
        Y, shape and dtype of A.

    Raises:
        TypeError: if A is not a floating-point tensor, or a parameter is complex.
        ValueError: if a parameter is out of its range or does not fit the batch; if A is no batch of matrices, or a
            matrix holds NaN or infinity; names its index in the batch. (For small matrices on a GPU this would
            synchronise: there Y of such a matrix is NaN.)

    >>> A = torch.diag(torch.tensor([3.0, 3.0, 1.0])).requires_grad_()
    >>> spectral_function(A, Truncation(2)).square().sum().backward()
    >>> A.grad.diagonal()
    tensor([6., 6., 0.])
    """
    return _apply(A, shrinkage, lambda point: shrinkage)


def singular_value_threshold(A: Tensor, threshold: Tensor | float, *, relative: bool = False) -> Tensor:
    """Soft-threshold the singular values: the proximal map of threshold * nuclear norm.

    This is :func:`spectral_function` with :class:`Soft`. With an absolute threshold the gradient with respect to A is
    never larger than that with respect to Y; where a singular value equals the threshold it is a generalised gradient.

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
            not read), or does not broadcast to the batch; if A is no batch of matrices, or a matrix holds NaN or
            infinity (as for :func:`spectral_function`).

    >>> singular_value_threshold(torch.diag(torch.tensor([3.0, 1.0])), 2.0).diagonal()
    tensor([1., 0.])
    """
    if not relative:
        return spectral_function(A, Soft(threshold))
    soft = RelativeSoft(threshold)
    return _apply(A, soft, lambda point: Soft(soft.threshold * largest_singular_value(point)))


def tensor_singular_value_threshold(
    tensor: Tensor, threshold: Tensor | float, *, dim: int = -3, relative: bool = False
) -> Tensor:
    """Soft-threshold the singular values of a tensor (t-SVD): of every slice of its Fourier transform along one dim.

    The transform is orthonormal, so that this is the proximal map of threshold * tensor nuclear norm (the sum of the
    nuclear norms of the slices). Source: Kilmer & Martin, Linear Algebra Appl. 2011; Lu et al., IEEE TPAMI 2020.

    Args:
        tensor: third-order tensors, the last three dims, real or complex floating point; those before are a batch. Half
            precision is computed in single.
        threshold: as for :func:`singular_value_threshold`, one number or one per batch item and slice.
        dim: the dim to transform, one of the last three; the other two are the rows and columns of a slice.
        relative: multiply the threshold by each slice's largest singular value.

    Returns:
        The shrunk tensor, shape and dtype of ``tensor``.

    Raises:
        TypeError: if the tensor is not floating-point.
        ValueError: if ``dim`` is not one of the last three, or as :func:`singular_value_threshold`.

    >>> tensor_singular_value_threshold(torch.ones(4, 2, 2), 1.0).mean().round(decimals=4)
    tensor(0.7500)
    """
    if dim % tensor.ndim < tensor.ndim - 3 or tensor.ndim < 3:  # noqa: PLR2004
        raise ValueError(f"dim is {dim} of a tensor of {tensor.ndim} dims, expected one of the last three, such as -3")
    check_matrices(tensor)
    slices = torch.fft.fft(at_least_single(tensor), dim=dim, norm="ortho").movedim(dim, -3)
    shrunk = singular_value_threshold(slices, threshold, relative=relative).movedim(-3, dim)
    result: Tensor = torch.fft.ifft(shrunk, dim=dim, norm="ortho")
    return (result if tensor.is_complex() else result.real).to(tensor.dtype)


@full_precision
def spectral_norm(A: Tensor) -> Tensor:
    """Return the largest singular value of each matrix; where it is repeated, its gradient is the mean subgradient.

    Args:
        A: matrices, shape (..., m, n), real or complex floating point.

    Returns:
        Shape (...), real; 0 for a matrix without values.

    Raises:
        TypeError: if A is not a floating-point tensor.
        ValueError: if A is no batch of matrices, or a matrix holds NaN or infinity (as :func:`spectral_function`).

    >>> spectral_norm(torch.diag(torch.tensor([3.0, 1.0])))
    tensor(3.)
    """
    check_matrices(A)
    if A.numel() == 0:
        return A.real.new_zeros(A.shape[:-2])
    A = at_least_single(A if A.shape[-2] >= A.shape[-1] else A.mT)
    return largest_singular_value(Point(A, *gram_svd(A.detach())))


@dataclass(frozen=True)
class RelativeSoft(Soft):
    """Soft thresholding with a threshold in units of the largest singular value."""

    ranges: ClassVar[Mapping[str, Range]] = {
        "threshold": (lambda value: 0 <= value < math.inf, "a non-negative, finite fraction")
    }


@full_precision
def _apply(A: Tensor, given: Shrinkage, shrinkage_at: Callable[[Point], Shrinkage]) -> Tensor:
    """Apply the shrinkage that ``given``, whose parameters are checked, becomes at a point."""
    check_matrices(A)
    given.check()
    if A.numel() == 0:
        no_values = A.real.new_zeros(*A.shape[:-2], min(A.shape[-2:]))
        return A + 0 * sum(parameter.sum() for parameter in given.parameters(no_values))  # keeps their gradients
    if A.dtype in {torch.float16, torch.bfloat16}:
        return _apply(at_least_single(A), given, shrinkage_at).to(A.dtype)
    if A.shape[-2] < A.shape[-1]:
        # A^T has the singular values of A^H, and its gradient needs no conjugation.
        return _apply(A.mT, given, shrinkage_at).mT
    point = Point(A, *gram_svd(A.detach()))
    return spectral_function_at(point, shrinkage_at(point))
