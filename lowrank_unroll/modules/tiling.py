"""Reconstruction of masked images tile by tile: of large ones, or by a network trained on small patches."""

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.operators import Mask

PIXELS_PER_CALL = 2**17  # of the tiles that a network reconstructs as one batch


class _Place(NamedTuple):
    """The pixels of a tile along an axis, and their weights."""

    pixels: slice
    weights: Tensor


def reconstruct_tiles(network: nn.Module, measurement: Tensor, mask: Tensor, tile_size: int) -> Tensor:
    """Reconstruct overlapping tiles and blend them; the last of a row or column ends at the edge of the image.

    Tiles overlap by half, and are weighted by the square of a Hann window. Those of a network that says how far it
    reaches overlap by twice the reach, and lose what a cut may have changed: the result is that of the whole image.

    Args:
        network: called as ``network(measurement, operator)``; its attribute ``reach``, if it has one, is the number of
            pixels beyond which a value of the measurement changes nothing.
        measurement: (batch, channel, height, width), zero where not sampled.
        mask: True where sampled, boolean, shape of ``measurement``.
        tile_size: pixels a side; a smaller side of the image is taken whole.

    Returns:
        The reconstruction, shape and dtype of ``measurement``; the sampled values as measured.
    """
    height, width = (min(tile_size, side) for side in measurement.shape[-2:])
    rows, columns = (_places(side, tile_size, _reach(network, tile_size)) for side in measurement.shape[-2:])
    places = list(product(rows, columns))
    blended, total = torch.zeros_like(measurement), torch.zeros_like(measurement)
    per_call = _tiles_per_call(len(measurement), height, width)
    for first in range(0, len(places), per_call):
        part = places[first : first + per_call]
        windows = [(..., row.pixels, column.pixels) for row, column in part]
        tiles = torch.cat([measurement[window] for window in windows])
        masks = torch.cat([mask[window] for window in windows])
        results = network(tiles, Mask(masks)).split(len(measurement))
        for (row, column), window, result in zip(part, windows, results, strict=True):
            weight = (row.weights[:, None] * column.weights).to(measurement)
            blended[window] += weight * result
            total[window] += weight
    return blended / total


def count_calls(network: nn.Module, shape: Sequence[int], tile_size: int) -> int:
    """Return how many times :func:`reconstruct_tiles` calls a network for a measurement of a shape."""
    batch, _, *sides = shape
    tiles = math.prod(len(_places(side, tile_size, _reach(network, tile_size))) for side in sides)
    return math.ceil(tiles / _tiles_per_call(batch, *(min(tile_size, side) for side in sides)))


def _tiles_per_call(batch: int, height: int, width: int) -> int:
    return max(1, PIXELS_PER_CALL // (batch * height * width))


def _reach(network: nn.Module, tile_size: int) -> int | None:
    """Return the reach of a network; None if it is not known, or too large for tiles to overlap by less than half."""
    reach: int | None = getattr(network, "reach", None)
    return reach if reach is not None and 4 * reach < tile_size else None


def _places(side: int, tile_size: int, reach: int | None) -> list[_Place]:
    length, last = min(tile_size, side), max(0, side - tile_size)
    starts = [*range(0, last, max(1, tile_size // 2) if reach is None else tile_size - 2 * reach), last]
    if reach is None:
        return [_Place(slice(start, start + length), _hann_window(length)) for start in starts]
    ends = [0, *(start + reach for start in starts[1:]), side]  # of what each tile keeps
    pixels = torch.arange(side)
    return [
        _Place(slice(start, start + length), ((first <= pixels) & (pixels < end))[start : start + length])
        for start, first, end in zip(starts, ends[:-1], ends[1:], strict=True)
    ]


def _hann_window(length: int) -> Tensor:
    """Return a squared Hann window, without its zeros; its small weights at the edges of a tile hide seams."""
    return (torch.arange(1, length + 1) * math.pi / (length + 1)).sin() ** 4
