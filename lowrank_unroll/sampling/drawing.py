"""What random patterns are drawn with."""

import math

import torch
from torch import Tensor


def frequencies(length: int, device: torch.device) -> Tensor:
    """The frequencies of a centred side, in cycles per pixel, in [-1/2, 1/2), shape (length,)."""
    return (torch.arange(length, device=device) - length // 2) / length


def central(length: int, size: int, device: torch.device) -> Tensor:
    """True on the `size` lowest frequencies of a centred side, shape (length,)."""
    # The zero frequency keeps its place: index size // 2 of the block is index length // 2 of the side.
    first = length // 2 - size // 2
    index = torch.arange(length, device=device)
    return (first <= index) & (index < first + size)


def draw(log_weights: Tensor, always: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw entries of the last dim without replacement, one after the other in proportion to their weights.

    The count largest of the keys log(weight) - log(-log(u)), u uniform, are such a draw (Efraimidis & Spirakis, Inf.
    Process. Lett. 2006).

    Args:
        log_weights: finite, (..., n).
        always: True where an entry is in every draw, (n,); `count` of them at most.
        count: how many to draw, those included.
        generator: on the device of the others.

    Returns:
        Boolean, (..., n), True at exactly `count` entries.
    """
    uniform = torch.rand(log_weights.shape, generator=generator, device=generator.device)
    keys = (log_weights - (-uniform.log()).log()).masked_fill(always, math.inf)
    return largest(keys, count)


def largest(keys: Tensor, count: int) -> Tensor:
    """True at the `count` largest entries of the last dim, shape as given."""
    chosen = keys.topk(count, dim=-1, sorted=False).indices
    return torch.zeros_like(keys, dtype=torch.bool).scatter_(-1, chosen, value=True)
