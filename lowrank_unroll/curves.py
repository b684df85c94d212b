"""Curves that pictures of a sample have beside them."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor


class Curves(NamedTuple):
    """Values of an image at a few pixels, such as their spectra.

    Attributes:
        title: of the plot.
        axis: name of what runs along a curve.
        pixels: row and column of each.
        values: real, (pixel, position along the curve).
    """

    title: str
    axis: str
    pixels: Sequence[tuple[int, int]]
    values: Tensor
