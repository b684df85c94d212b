"""Groups of similar patches of an image, as the rows of matrices, and back."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import fold, pad, unfold

from lowrank_unroll.linalg import native

# Squared differences of a band, where there is no compiled code. A megabyte stays in the cache of a CPU; a GPU wants
# more work at once: 64 images of 64 x 64 pixels take 8 ms there instead of 163 ms (an H100).
BAND = 2**18
BAND_ON_A_GPU = 2**25

# Numbers of the matrices that are in memory together: four megabytes, or half a gigabyte on a GPU.
PART = 2**20
PART_ON_A_GPU = 2**27
# Groups of a part for each column of an image, at least: the bands of fewer groups overlap by more than their height.
BAND_GROUPS = 8


class Band(NamedTuple):
    """Rows at which reference patches begin, from the first pixel of the first to the last of the last."""

    rows: Tensor
    top: int
    bottom: int


def match_patches(image: Tensor, patch: int, stride: int, neighbours: int, radius: int) -> Tensor:
    """Find the patches around each reference patch that are most similar to it, itself the first.

    Reference patches lie on a grid; the last of a row or column ends at the border of the image. Similar is what has
    the smallest squared difference (Buades, Coll & Morel, "A non-local algorithm for image denoising", CVPR 2005).

    Args:
        image: (batch, channel, height, width), real.
        patch: pixels a side of a patch.
        stride: pixels between reference patches, at most ``patch``, so that every pixel is in one.
        neighbours: how many patches make a group; where fewer are within the radius, the reference patch repeats.
        radius: how many pixels up, down, left and right patches are searched.

    Returns:
        (batch, group, neighbours), int64, row * width + column of the first pixel of each patch of a group. It has no
        gradient.

    Raises:
        ValueError: if the image is smaller than a patch.
    """
    height, width = image.shape[-2:]
    if min(height, width) < patch:
        raise ValueError(f"the image is {height} x {width}, smaller than a patch of {patch} pixels a side")
    compiled = native.match_patches(image, patch, stride, neighbours, radius)
    if compiled is not None:
        return compiled
    with torch.no_grad():
        rows, columns = (_starts(side, patch, stride, image.device) for side in (height, width))
        padded = pad(image, (radius, radius, radius, radius))
        # Band by band, whose differences stay in the cache.
        work = BAND if image.device.type == "cpu" else BAND_ON_A_GPU
        in_band = max(1, work // (len(image) * (2 * radius + 1) * width * stride))
        last = height - patch
        tops = range(0, len(rows) * stride, in_band * stride)
        bands = (
            Band(some, min(top, last), min(top + (len(some) - 1) * stride, last) + patch)
            for top, some in zip(tops, torch.split(rows, in_band), strict=True)
        )
        nearest = [_nearest(padded, patch, band, columns, neighbours, radius) for band in bands]
    return torch.cat(nearest, dim=1)


def to_patches(image: Tensor, positions: Tensor, patch: int) -> Tensor:
    """Make the patches that begin at ``positions`` the rows of matrices.

    Args:
        image: (batch, channel, height, width).
        positions: see :func:`match_patches`, (batch, group, neighbours).
        patch: pixels a side of a patch.

    Returns:
        (batch, group, neighbours, channel * patch * patch).
    """
    rows = unfold(image, patch).transpose(1, 2)
    # Unlike that of indexing, its gradient adds up in the same order each time, also on several threads.
    gathered = rows.flatten(0, 1).index_select(0, _rows_of(positions, image.shape, patch))
    return gathered.reshape(*positions.shape, rows.shape[-1])


def add_patches(matrices: Tensor, positions: Tensor, patch: int, size: Sequence[int]) -> Tensor:
    """Add the rows of matrices up where their patches are in an image: the adjoint of :func:`to_patches`.

    Args:
        matrices: (batch, group, neighbours, channel * patch * patch).
        positions: see :func:`match_patches`.
        patch: pixels a side of a patch.
        size: height and width of the image.

    Returns:
        (batch, channel, height, width).
    """
    batch, length = len(matrices), matrices.shape[-1]
    places = (size[0] - patch + 1) * (size[1] - patch + 1)
    rows = matrices.new_zeros(batch * places, length)
    rows = rows.index_add(0, _rows_of(positions, (batch, length, *size), patch), matrices.reshape(-1, length))
    return fold(rows.reshape(batch, places, length).transpose(1, 2), tuple(size), patch)


def average_patches(matrices: Tensor, positions: Tensor, patch: int, size: Sequence[int]) -> Tensor:
    """Average the rows of matrices where their patches overlap in an image.

    Of the matrices of :func:`to_patches` it makes the image that they are of. Arguments and result as for
    :func:`add_patches`.
    """
    return add_patches(matrices, positions, patch, size) / count_patches(positions, patch, size, matrices)


def map_patches(function: Callable[[Tensor], Tensor], image: Tensor, positions: Tensor, patch: int) -> Tensor:
    """Apply a function to the matrices of similar patches, and average what it makes of them.

    It is ``average_patches(function(to_patches(image, positions, patch)), ...)``. Where no gradient is wanted, which
    would keep them all, many matrices are made part by part and never are in memory together.

    Args:
        function: of matrices (batch, group, neighbours, channel * patch * patch), of which each is treated by itself.
        image: (batch, channel, height, width).
        positions: see :func:`match_patches`.
        patch: pixels a side of a patch.

    Returns:
        The image, shape of the one given.
    """
    height, width = image.shape[-2:]
    numbers = len(image) * positions.shape[-1] * image.shape[1] * patch**2
    parts = torch.split(positions, max(BAND_GROUPS * width, _part(image) // numbers), dim=1)
    if torch.is_grad_enabled() or len(parts) == 1:
        return average_patches(function(to_patches(image, positions, patch)), positions, patch, (height, width))
    sums, counts = torch.zeros_like(image), image.new_zeros(len(image), 1, height, width)
    for some in parts:
        top, bottom = int(some.min()) // width, int(some.max()) // width + patch
        band, within = image[..., top:bottom, :], some - top * width
        matrices = function(to_patches(band, within, patch))
        sums[..., top:bottom, :] += add_patches(matrices, within, patch, band.shape[-2:])
        counts[..., top:bottom, :] += count_patches(within, patch, band.shape[-2:], image)
    return sums / counts


def count_patches(positions: Tensor, patch: int, size: Sequence[int], like: Tensor) -> Tensor:
    """Count the patches of all groups that each pixel is in.

    Args:
        positions: see :func:`match_patches`.
        patch: pixels a side of a patch.
        size: height and width of the image.
        like: a tensor, real, whose dtype and device the counts have.

    Returns:
        (batch, 1, height, width).
    """
    batch, places = len(positions), (size[0] - patch + 1) * (size[1] - patch + 1)
    begin = like.new_zeros(batch * places)
    for part in torch.split(positions, max(1, _part(like) // positions[:, 0].numel()), dim=1):
        rows = _rows_of(part, (batch, 1, *size), patch)
        begin = begin.index_add(0, rows, like.new_ones(1).expand(len(rows)))
    return fold(begin.reshape(batch, 1, places).expand(-1, patch**2, -1), tuple(size), patch)


def _part(like: Tensor) -> int:
    """Return how many numbers of matrices are in memory at once."""
    return PART if like.device.type == "cpu" else PART_ON_A_GPU


def _nearest(padded: Tensor, patch: int, band: Band, columns: Tensor, neighbours: int, radius: int) -> Tensor:
    """The positions that :func:`match_patches` returns, for reference patches in a band."""
    width = padded.shape[-1] - 2 * radius
    differences = torch.cat(list(_differences(padded, patch, band, columns, radius)), dim=1).transpose(1, 2)
    count = min(neighbours, differences.shape[-1])
    nearest, chosen = differences.topk(count, dim=-1, largest=False)
    side = 2 * radius + 1
    shift = (chosen // side - radius) * width + chosen % side - radius
    first = (band.rows[:, None] * width + columns).flatten()[:, None]
    positions = first + torch.where(nearest.isinf(), 0, shift)
    return torch.cat([positions, first.expand(*positions.shape[:-1], neighbours - count)], dim=-1)


def _differences(padded: Tensor, patch: int, band: Band, columns: Tensor, radius: int) -> Iterator[Tensor]:
    """Squared differences of reference patches from those around, (batch, shift, group), a part for each shift down."""
    height, width = (side - 2 * radius for side in padded.shape[-2:])
    rows, top, bottom = band
    shifts = torch.arange(-radius, radius + 1, device=padded.device)
    beside = _beyond(columns + shifts[:, None], width - patch)[:, None]
    here = padded[..., top + radius : bottom + radius, radius : radius + width].unbind(1)
    for down in range(2 * radius + 1):
        # All shifts along at once, channel by channel: (batch, shift, row, column).
        there = padded[..., top + down : bottom + down, :].unfold(-1, width, 1).movedim(-2, -3).unbind(1)
        channels = [(one[:, None] - other).square() for one, other in zip(here, there, strict=True)]
        squared = sum(channels[1:], start=channels[0])
        total = _sum_over_patches(_sum_over_patches(squared, rows - top, patch, -2), columns, patch, -1)
        # A patch is its own nearest also among equals.
        if down == radius:
            total[:, radius] = -1
        outside = beside | _beyond(rows + down - radius, height - patch)[:, None]
        yield total.masked_fill_(outside, torch.inf).flatten(-2)


def _sum_over_patches(values: Tensor, starts: Tensor, patch: int, dim: int) -> Tensor:
    """Sums over the ``patch`` entries of a dim that begin at each start."""
    count = values.shape[dim] - patch + 1
    sums = values.narrow(dim, 0, count)
    for offset in range(1, patch):
        sums = sums + values.narrow(dim, offset, count)
    return sums.index_select(dim, starts)


def _beyond(starts: Tensor, last: int) -> Tensor:
    return (starts < 0) | (starts > last)


def _starts(side: int, patch: int, stride: int, device: torch.device) -> Tensor:
    """Return the positions of reference patches along a side."""
    last = side - patch
    # Made where it is needed: a copy would have to be waited for.
    return torch.arange(0, last + stride, stride, device=device).clamp(max=last)


def _rows_of(positions: Tensor, shape: Sequence[int], patch: int) -> Tensor:
    """Indices of patches among all patches of a batch of images of a shape, flat."""
    height, width = shape[-2] - patch + 1, shape[-1] - patch + 1
    row, column = positions // shape[-1], positions % shape[-1]
    first = torch.arange(shape[0], device=positions.device)[:, None, None] * (height * width)
    return (first + row * width + column).flatten()
