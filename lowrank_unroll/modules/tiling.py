"""Reconstruction of masked images tile by tile: of large ones, or by a network trained on small patches."""

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor, nn

from lowrank_unroll.operators import Mask

PIXELS_PER_CALL = 2**17  # of the tiles that a network reconstructs as one batch


def reconstruct_tiles(network: nn.Module, measurement: Tensor, mask: Tensor, tile_size: int) -> Tensor:
    """Reconstruct overlapping tiles and blend them, weighted by the square of a Hann window.

    Tiles overlap by half; the last of a row or column ends at the edge of the image.

    Args:
        network: called as ``network(measurement, operator)``.
        measurement: (batch, channel, height, width), zero where not sampled.
        mask: True where sampled, boolean, shape of ``measurement``.
        tile_size: pixels a side; a smaller side of the image is taken whole.

    Returns:
        The reconstruction, shape and dtype of ``measurement``; the sampled values as measured.
    """
    height, width = (min(tile_size, side) for side in measurement.shape[-2:])
    corners = list(product(_starts(measurement.shape[-2], height), _starts(measurement.shape[-1], width)))
    weight = _window(height)[:, None] * _window(width)
    weight = weight.to(measurement)
    blended, total = torch.zeros_like(measurement), torch.zeros_like(measurement)
    per_call = _tiles_per_call(len(measurement), height, width)
    for first in range(0, len(corners), per_call):
        windows = [(..., slice(t, t + height), slice(s, s + width)) for t, s in corners[first : first + per_call]]
        tiles = torch.cat([measurement[window] for window in windows])
        masks = torch.cat([mask[window] for window in windows])
        results = network(tiles, Mask(masks)).split(len(measurement))
        for window, result in zip(windows, results, strict=True):
            blended[window] += weight * result
            total[window] += weight
    return blended / total


def count_calls(shape: Sequence[int], tile_size: int) -> int:
    """Return how many times :func:`reconstruct_tiles` calls a network for a measurement of a shape."""
    batch, _, *sides = shape
    tile = [min(tile_size, side) for side in sides]
    tiles = math.prod(len(_starts(side, length)) for side, length in zip(sides, tile, strict=True))
    return math.ceil(tiles / _tiles_per_call(batch, *tile))


def _tiles_per_call(batch: int, height: int, width: int) -> int:
    return max(1, PIXELS_PER_CALL // (batch * height * width))


def _starts(length: int, tile: int) -> list[int]:
    last = length - tile
    return [*range(0, last, max(1, tile // 2)), last]


def _window(length: int) -> Tensor:
    """Return a squared Hann window, without its zeros; its small weights at the edges of a tile hide seams."""
    return (torch.arange(1, length + 1) * math.pi / (length + 1)).sin() ** 4
