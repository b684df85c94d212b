"""Casorati matrices of blocks of a series of images, and back."""

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import pad


def to_blocks(series: Tensor, block: int, cut: tuple[int, int] = (0, 0)) -> Tensor:
    """Divide every frame into square blocks, and make a Casorati matrix of each.

    Blocks at the border are filled with zeros, which leaves singular values as they are. Every value goes into one
    matrix: the map preserves norms, and :func:`from_blocks` is its adjoint and its inverse.

    Args:
        series: (..., time, height, width), real or complex.
        block: pixels a side.
        cut: by how many pixels the first block is cut at the top and left, each from 0 to block - 1: where the grid is.

    Returns:
        (..., blocks, time, block * block), blocks row by row.
    """
    *batch, time, height, width = series.shape
    (top, bottom), (left, right) = (
        _margins(side, block, first) for side, first in zip((height, width), cut, strict=True)
    )
    padded = pad(series, (left, right, top, bottom))
    rows, columns = padded.shape[-2] // block, padded.shape[-1] // block
    grid = padded.reshape(*batch, time, rows, block, columns, block)
    return grid.movedim((-4, -2), (-5, -4)).reshape(*batch, rows * columns, time, block * block)


def from_blocks(matrices: Tensor, size: Sequence[int], block: int, cut: tuple[int, int] = (0, 0)) -> Tensor:
    """The series (..., time, height, width) whose :func:`to_blocks` are ``matrices``.

    Args:
        matrices: (..., blocks, time, block * block).
        size: height and width of a frame.
        block: as for :func:`to_blocks`.
        cut: as for :func:`to_blocks`.
    """
    *batch, _, time, _ = matrices.shape
    margins = [_margins(side, block, first) for side, first in zip(size, cut, strict=True)]
    rows, columns = ((side + before + after) // block for side, (before, after) in zip(size, margins, strict=True))
    grid = matrices.reshape(*batch, rows, columns, time, block, block).movedim((-5, -4), (-4, -2))
    padded = grid.reshape(*batch, time, rows * block, columns * block)
    (top, _), (left, _) = margins
    return padded[..., top : top + size[0], left : left + size[1]]


def block_count(size: Sequence[int], block: int, cut: tuple[int, int] = (0, 0)) -> int:
    """How many blocks :func:`to_blocks` makes of frames of a size."""
    return math.prod((side + sum(_margins(side, block, first))) // block for side, first in zip(size, cut, strict=True))


def _margins(side: int, block: int, cut: int) -> tuple[int, int]:
    """How many pixels are added before and after a side."""
    return cut, -(side + cut) % block
