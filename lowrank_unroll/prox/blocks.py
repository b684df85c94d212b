"""Casorati matrices of the blocks of a series, and back."""

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import pad

from lowrank_unroll.deprecation import renamed_arguments


@renamed_arguments(cut="offset")
def to_blocks(series: Tensor, block: int, offset: tuple[int, int] = (0, 0)) -> Tensor:
    """Divide every frame into square blocks, and return the Casorati matrix of each.

    Blocks at the border are filled with zeros, which leaves singular values as they are. Every value goes into one
    matrix: the map preserves norms, and :func:`from_blocks` is its adjoint and its inverse.

    Args:
        series: (..., time, height, width), real or complex.
        block: pixels a side.
        offset: of the grid of blocks: the pixels of the first block that lie above the image and left of it, each from
            0 to block - 1.

    Returns:
        (..., blocks, time, block * block), blocks row by row.

    >>> series = torch.arange(32.0).reshape(2, 4, 4)  # two frames
    >>> to_blocks(series, block=2).shape
    torch.Size([4, 2, 4])
    >>> to_blocks(series, block=2)[0]
    tensor([[ 0.,  1.,  4.,  5.],
            [16., 17., 20., 21.]])
    """
    *batch, time, height, width = series.shape
    (top, bottom), (left, right) = (
        _margins(side, block, first) for side, first in zip((height, width), offset, strict=True)
    )
    padded = pad(series, (left, right, top, bottom))
    rows, columns = padded.shape[-2] // block, padded.shape[-1] // block
    grid = padded.reshape(*batch, time, rows, block, columns, block)
    return grid.movedim((-4, -2), (-5, -4)).reshape(*batch, rows * columns, time, block * block)


@renamed_arguments(cut="offset")
def from_blocks(matrices: Tensor, size: Sequence[int], block: int, offset: tuple[int, int] = (0, 0)) -> Tensor:
    """Return the series (..., time, height, width) of the matrices of its blocks, the inverse of :func:`to_blocks`.

    Args:
        matrices: (..., blocks, time, block * block).
        size: height and width of a frame.
        block: as for :func:`to_blocks`.
        offset: as for :func:`to_blocks`.
    """
    *batch, _, time, _ = matrices.shape
    margins = [_margins(side, block, first) for side, first in zip(size, offset, strict=True)]
    rows, columns = ((side + before + after) // block for side, (before, after) in zip(size, margins, strict=True))
    grid = matrices.reshape(*batch, rows, columns, time, block, block).movedim((-5, -4), (-4, -2))
    padded = grid.reshape(*batch, time, rows * block, columns * block)
    (top, _), (left, _) = margins
    return padded[..., top : top + size[0], left : left + size[1]]


@renamed_arguments(cut="offset")
def block_count(size: Sequence[int], block: int, offset: tuple[int, int] = (0, 0)) -> int:
    """Return the number of blocks that :func:`to_blocks` makes of frames of a size."""
    return math.prod(
        (side + sum(_margins(side, block, first))) // block for side, first in zip(size, offset, strict=True)
    )


def _margins(side: int, block: int, offset: int) -> tuple[int, int]:
    """Return the numbers of pixels that are added before and after a side."""
    return offset, -(side + offset) % block
