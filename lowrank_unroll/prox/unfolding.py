"""Unfolding of a tensor into a matrix, and back; the Casorati matrix and its shrinkage."""

from collections.abc import Sequence

from torch import Tensor

from lowrank_unroll.linalg import singular_value_threshold


def casorati(series: Tensor) -> Tensor:
    """Return the Casorati matrix (..., time, height * width) of a series (..., time, height, width).

    >>> casorati(torch.zeros(2, 5, 8, 6)).shape
    torch.Size([2, 5, 48])
    """
    return series.flatten(-2)


def casorati_singular_value_threshold(series: Tensor, threshold: Tensor | float) -> Tensor:
    """Soft-threshold the singular values of the Casorati matrix of each series, the proximal map of its nuclear norm.

    Args:
        series: (..., time, height, width), real or complex.
        threshold: non-negative, in the unit of the singular values; broadcasts to (...).

    Returns:
        Shape and dtype of ``series``.

    >>> static = torch.ones(3, 2, 2)  # one singular value, sqrt(12)
    >>> torch.allclose(casorati_singular_value_threshold(static, 12**0.5 / 2), static / 2)
    True
    """
    return singular_value_threshold(casorati(series), threshold).reshape(series.shape)


def unfold(tensor: Tensor, mode: int, dims: int = 3) -> Tensor:
    """Return the mode-n unfolding, whose columns are the fibers along dim n (Kolda & Bader, SIAM Review 2009).

    Args:
        tensor: (..., d_0, ..., d_{dims-1}), any dtype.
        mode: n, the dim among the last ``dims`` that indexes the rows, 0 to dims - 1.
        dims: number of last dims that belong to the tensor; those before are a batch.

    Returns:
        (..., d_mode, product of the others, in their order).

    Raises:
        ValueError: if there is no such mode.

    >>> unfold(torch.zeros(2, 3, 4), mode=1).shape
    torch.Size([3, 8])
    """
    _check(mode, dims, tensor.ndim)
    return tensor.movedim(tensor.ndim - dims + mode, -dims).flatten(-dims + 1)


def fold(matrix: Tensor, mode: int, shape: Sequence[int]) -> Tensor:
    """Return the tensor of a shape (d_0, ..., d_{dims-1}) whose mode-n unfolding is ``matrix`` (..., d_mode, others).

    Raises:
        ValueError: if there is no such mode.
    """
    dims = len(shape)
    _check(mode, dims, dims)
    others = [size for index, size in enumerate(shape) if index != mode]
    tensor = matrix.reshape(*matrix.shape[:-2], shape[mode], *others)
    return tensor.movedim(-dims, tensor.ndim - dims + mode)


def _check(mode: int, dims: int, available: int) -> None:
    if not 0 <= mode < dims <= available:
        raise ValueError(
            f"mode {mode} of a tensor of {dims} dims, of which {available} are there: expected 0 <= mode < dims"
        )
