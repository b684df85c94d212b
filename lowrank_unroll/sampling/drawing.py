"""Random choice of entries of a mask."""

import math

import torch
from torch import Tensor


def frequencies(length: int, device: torch.device) -> Tensor:
    """Return the frequencies of a centered side, in cycles per pixel, in [-1/2, 1/2), shape (length,)."""
    return (torch.arange(length, device=device) - length // 2) / length


def central(length: int, size: int, device: torch.device) -> Tensor:
    """Return a mask of the `size` lowest frequencies of a centered side, shape (length,).

    >>> central(6, 2, torch.device("cpu"))
    tensor([False, False,  True,  True, False, False])
    """
    # Index size // 2 of the block is index length // 2 of the side, the zero frequency of both.
    first = length // 2 - size // 2
    index = torch.arange(length, device=device)
    return (first <= index) & (index < first + size)


def draw(log_weights: Tensor, always: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw entries of the last dim without replacement, with probabilities in proportion to their weights.

    The entries with the `count` largest keys log(weight) - log(-log(u)), u uniform, are such a draw (Efraimidis &
    Spirakis, Inf. Process. Lett. 2006).

    Args:
        log_weights: finite, (..., n).
        always: True for entries that every draw includes, (n,); `count` of them at most.
        count: number of entries to draw, those included.
        generator: on the device of the other arguments.

    Returns:
        Boolean, (..., n), True at exactly `count` entries.
    """
    uniform = torch.rand(log_weights.shape, generator=generator, device=generator.device)
    keys = (log_weights - (-uniform.log()).log()).masked_fill(always, math.inf)
    return largest(keys, count)


def largest(keys: Tensor, count: int) -> Tensor:
    """Return a mask of the `count` largest entries of the last dim, shape as given."""
    chosen = keys.topk(count, dim=-1, sorted=False).indices
    return torch.zeros_like(keys, dtype=torch.bool).scatter_(-1, chosen, value=True)
