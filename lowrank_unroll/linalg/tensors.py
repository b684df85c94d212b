"""Low rank of third-order tensors."""

import torch
from torch import Tensor

from lowrank_unroll.linalg.checks import check_matrices
from lowrank_unroll.linalg.functions import singular_value_threshold
from lowrank_unroll.linalg.precision import at_least_single


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
    """
    if dim % tensor.ndim < tensor.ndim - 3 or tensor.ndim < 3:  # noqa: PLR2004
        raise ValueError(f"dim is {dim} of a tensor of {tensor.ndim} dims, expected one of the last three, such as -3")
    check_matrices(tensor)
    slices = torch.fft.fft(at_least_single(tensor), dim=dim, norm="ortho").movedim(dim, -3)
    shrunk = singular_value_threshold(slices, threshold, relative=relative).movedim(-3, dim)
    result: Tensor = torch.fft.ifft(shrunk, dim=dim, norm="ortho")
    return (result if tensor.is_complex() else result.real).to(tensor.dtype)
