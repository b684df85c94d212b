"""What linear algebra here is given: batches of floating-point matrices."""

from torch import Tensor


def check_matrices(A: Tensor) -> None:
    """Refuse what is no batch of floating-point matrices.

    Raises:
        TypeError: if A is not a floating-point tensor.
        ValueError: if it has fewer than two dims.
    """
    if not (A.is_floating_point() or A.is_complex()):
        raise TypeError(f"expected floating-point matrices, got {A.dtype}; convert with A.float()")
    if A.ndim < 2:  # noqa: PLR2004
        raise ValueError(f"expected matrices, shape (..., m, n), got shape {tuple(A.shape)}")
