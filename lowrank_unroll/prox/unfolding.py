"""Matrices made of the values of a tensor, and back."""

from collections.abc import Sequence

from torch import Tensor


def casorati(series: Tensor) -> Tensor:
    """The Casorati matrix (..., time, height * width) of a series of images (..., time, height, width)."""
    return series.flatten(-2)


def unfold(tensor: Tensor, mode: int, dims: int = 3) -> Tensor:
    """The mode-n unfolding: fibres along one of the last dims become columns (Kolda & Bader, SIAM Review 2009).

    Args:
        tensor: (..., d_0, ..., d_{dims-1}), any dtype.
        mode: which of the last ``dims`` dims, 0 to dims - 1, indexes the rows.
        dims: how many of the last dims belong to the tensor; those before are a batch.

    Returns:
        (..., d_mode, product of the others, in their order).

    Raises:
        ValueError: if there is no such mode.
    """
    _check(mode, dims, tensor.ndim)
    return tensor.movedim(tensor.ndim - dims + mode, -dims).flatten(-dims + 1)


def fold(matrix: Tensor, mode: int, shape: Sequence[int]) -> Tensor:
    """The tensor of a given shape (d_0, ..., d_{dims-1}) whose mode-n unfolding is ``matrix`` (..., d_mode, others).

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
