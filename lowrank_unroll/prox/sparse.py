"""The proximal map of the l1 norm."""

import torch
from torch import Tensor


def soft_threshold(values: Tensor, threshold: Tensor | float) -> Tensor:
    """Shrink magnitudes: ``max(|v| - threshold, 0) v / |v|``, the proximal map of threshold * l1 norm.

    Args:
        values: real or complex, any shape.
        threshold: non-negative, in the unit of the values; a number, or a tensor that broadcasts with them.

    Returns:
        Shape and dtype of ``values``; its gradient is finite also at zero.
    """
    magnitude = values.abs()
    kept = magnitude > threshold
    # Where nothing is kept the quotient must not be formed: its gradient would be NaN at zero.
    scale = 1 - threshold / torch.where(kept, magnitude, 1)
    return values * torch.where(kept, scale, 0)
