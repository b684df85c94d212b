"""Sparsity: the proximal map of the l1 norm."""

import torch
from torch import Tensor


def soft_threshold(values: Tensor, threshold: Tensor | float) -> Tensor:
    """Shrink magnitudes: ``max(|v| - threshold, 0) v / |v|``, the proximal map of threshold * l1 norm.

    Args:
        values: real or complex, any shape.
        threshold: non-negative, in the unit of the values; a number, or a tensor that broadcasts with them.

    Returns:
        Shape and dtype of ``values``. The gradient is finite, also at zero.

    >>> soft_threshold(torch.tensor([4.0, -2.0, 0.5]), 1.0)
    tensor([ 3., -1.,  0.])
    """
    magnitude = values.abs()
    kept = magnitude > threshold
    # Divide only where a value is kept, since the gradient of the quotient would be NaN at zero.
    scale = 1 - threshold / torch.where(kept, magnitude, 1)
    return values * torch.where(kept, scale, 0)
