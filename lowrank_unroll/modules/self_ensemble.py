"""Geometric self-ensemble: the mean of the reconstructions of an image flipped and turned in eight ways."""

from collections.abc import Callable
from itertools import product

import torch
from torch import Tensor

WAYS = tuple(product(range(4), (False, True)))  # quarter turns, and whether the image is flipped


def reconstruct_in_eight_ways(
    reconstruct: Callable[[Tensor, Tensor], Tensor], measurement: Tensor, mask: Tensor
) -> Tensor:
    """Flip and turn the measurement, reconstruct, undo both, and average over eight ways.

    The geometric self-ensemble is due to Timofte, Rothe & Van Gool, "Seven ways to improve example-based single image
    super resolution", CVPR 2016, and takes eight times the time.

    Args:
        reconstruct: called as ``reconstruct(measurement, mask)``, once for each way.
        measurement: (batch, channel, height, width), zero where not sampled.
        mask: True where sampled, boolean, shape of ``measurement``.

    Returns:
        The reconstruction, shape and dtype of ``measurement``. It is equivariant: a flipped or turned measurement gives
        the same reconstruction, flipped or turned.
    """
    results = [_back(reconstruct(_turned(measurement, *way), _turned(mask, *way)), *way) for way in WAYS]
    return torch.stack(results).mean(0)


def _turned(images: Tensor, turns: int, flipped: bool) -> Tensor:
    turned = torch.rot90(images, turns, (-2, -1))
    return (turned.flip(-1) if flipped else turned).contiguous()


def _back(images: Tensor, turns: int, flipped: bool) -> Tensor:
    return torch.rot90(images.flip(-1) if flipped else images, -turns, (-2, -1))
