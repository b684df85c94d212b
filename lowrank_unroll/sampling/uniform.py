"""Uniform random sampling."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def uniform_mask(shape: Sequence[int], ratio: float, generator: torch.Generator) -> Tensor:
    """Sample the same number of pixels, uniformly at random and independently, in every plane.

    Args:
        shape: (..., height, width); each index of the leading dims is a plane.
        ratio: share of the pixels to sample, in (0, 1]; every plane has round(ratio * height * width) of them, at
            least one.
        generator: the same state gives the same mask.

    Returns:
        Boolean mask of the given shape, True where sampled, on the generator's device.

    Raises:
        ValueError: if the ratio is outside (0, 1].
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"the sampling ratio is {ratio}, expected a number in (0, 1]")
    pixels = math.prod(shape[-2:])
    count = max(1, round(ratio * pixels))
    order = torch.rand(*shape[:-2], pixels, generator=generator, device=generator.device)
    sampled = order.topk(count, dim=-1, sorted=False).indices
    mask = torch.zeros(order.shape, dtype=torch.bool, device=order.device)
    return mask.scatter_(-1, sampled, value=True).reshape(*shape)
