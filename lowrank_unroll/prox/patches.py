"""Groups of similar patches of an image, as the rows of matrices, and back."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import fold, pad, unfold

from lowrank_unroll.deprecation import renamed_arguments
from lowrank_unroll.linalg import native

# Squared differences that the interpreted code computes at once. A megabyte stays in the cache of a CPU; a GPU needs
# larger steps: 64 images of 64 x 64 pixels then take 8 ms instead of 163 ms (an H100).
BAND = 2**18
BAND_ON_A_GPU = 2**25

# Values of the matrices that are in memory at once: four megabytes, or half a gigabyte on a GPU.
CHUNK = 2**20
CHUNK_ON_A_GPU = 2**27
# At least so many groups per column of an image are handled at once, since with fewer the image bands that they read
# overlap by more than their height.
BAND_GROUPS = 8


class Band(NamedTuple):
    """Some rows of reference patches.

    Attributes:
        rows: first pixel rows of the reference patches.
        top: first pixel row of the band.
        bottom: pixel row after its last one.
    """

    rows: Tensor
    top: int
    bottom: int


@renamed_arguments(neighbours="neighbors")
def match_patches(image: Tensor, patch: int, stride: int, neighbors: int, radius: int) -> Tensor:
    """Find the patches around each reference patch that are most similar to it, itself the first.

    Reference patches lie on a grid; the last of a row or column ends at the border of the image. The most similar
    patches have the smallest squared difference (Buades, Coll & Morel, "A non-local algorithm for image denoising",
    CVPR 2005).

    Args:
        image: (batch, channel, height, width), real.
        patch: pixels a side of a patch.
        stride: pixels between reference patches, at most ``patch``, so that every pixel is in one.
        neighbors: patches in a group; where fewer are within the radius, the reference patch repeats.
        radius: of the search, in pixels up, down, left and right.

    Returns:
        (batch, group, neighbors), int64, row * width + column of the first pixel of each patch of a group. It has no
        gradient.

    Raises:
        ValueError: if the image is smaller than a patch.

    >>> image = torch.tensor([[1.0, 2.0], [1.0, 2.0]])[None, None]
    >>> match_patches(image, patch=1, stride=1, neighbors=2, radius=1)
    tensor([[[0, 2],
             [1, 3],
             [2, 0],
             [3, 1]]])
    """
    height, width = image.shape[-2:]
    if min(height, width) < patch:
        raise ValueError(f"the image is {height} x {width}, smaller than a patch of {patch} pixels a side")
    compiled = native.match_patches(image, patch, stride, neighbors, radius)
    if compiled is not None:
        return compiled
    with torch.no_grad():
        rows, columns = (_starts(side, patch, stride, image.device) for side in (height, width))
        padded = pad(image, (radius, radius, radius, radius))
        # Band by band, so that differences stay in the cache.
        work = BAND if image.device.type == "cpu" else BAND_ON_A_GPU
        in_band = max(1, work // (len(image) * (2 * radius + 1) * width * stride))
        last = height - patch
        tops = range(0, len(rows) * stride, in_band * stride)
        bands = (
            Band(some, min(top, last), min(top + (len(some) - 1) * stride, last) + patch)
            for top, some in zip(tops, torch.split(rows, in_band), strict=True)
        )
        nearest = [_nearest(padded, patch, band, columns, neighbors, radius) for band in bands]
    return torch.cat(nearest, dim=1)


@renamed_arguments(positions="matches")
def to_patches(image: Tensor, matches: Tensor, patch: int) -> Tensor:
    """Return matrices whose rows are the patches of each group.

    Args:
        image: (batch, channel, height, width).
        matches: see :func:`match_patches`, (batch, group, neighbors).
        patch: pixels a side of a patch.

    Returns:
        (batch, group, neighbors, channel * patch * patch).

    >>> image = torch.tensor([[1.0, 2.0], [1.0, 2.0]])[None, None]
    >>> to_patches(image, match_patches(image, patch=1, stride=1, neighbors=2, radius=1), patch=1).squeeze()
    tensor([[1., 1.],
            [2., 2.],
            [1., 1.],
            [2., 2.]])
    """
    rows = unfold(image, patch).transpose(1, 2)
    # The gradient of index_select, unlike that of indexing, is deterministic on several threads.
    gathered = rows.flatten(0, 1).index_select(0, _rows_of(matches, image.shape, patch))
    return gathered.reshape(*matches.shape, rows.shape[-1])


@renamed_arguments(positions="matches")
def add_patches(matrices: Tensor, matches: Tensor, patch: int, size: Sequence[int]) -> Tensor:
    """Add the rows of matrices to an image, each at its patch: the adjoint of :func:`to_patches`.

    Args:
        matrices: (batch, group, neighbors, channel * patch * patch).
        matches: see :func:`match_patches`.
        patch: pixels a side of a patch.
        size: height and width of the image.

    Returns:
        (batch, channel, height, width).
    """
    batch, length = len(matrices), matrices.shape[-1]
    corners = (size[0] - patch + 1) * (size[1] - patch + 1)
    rows = matrices.new_zeros(batch * corners, length)
    rows = rows.index_add(0, _rows_of(matches, (batch, length, *size), patch), matrices.reshape(-1, length))
    return fold(rows.reshape(batch, corners, length).transpose(1, 2), tuple(size), patch)


@renamed_arguments(positions="matches")
def average_patches(matrices: Tensor, matches: Tensor, patch: int, size: Sequence[int]) -> Tensor:
    """Make an image of the rows of matrices, averaged where patches overlap: a left inverse of :func:`to_patches`.

    Arguments and result are those of :func:`add_patches`.
    """
    return add_patches(matrices, matches, patch, size) / count_patches(matches, patch, size, matrices)


@renamed_arguments(positions="matches")
def map_patches(function: Callable[[Tensor], Tensor], image: Tensor, matches: Tensor, patch: int) -> Tensor:
    """Apply a function to the matrices of similar patches, and average the results.

    It is ``average_patches(function(to_patches(image, matches, patch)), ...)``. Without a gradient, which would keep
    all matrices, they are computed in chunks to save memory.

    Args:
        function: of matrices (batch, group, neighbors, channel * patch * patch), which treats each by itself.
        image: (batch, channel, height, width).
        matches: see :func:`match_patches`.
        patch: pixels a side of a patch.

    Returns:
        The image, shape of the one given.
    """
    height, width = image.shape[-2:]
    values = len(image) * matches.shape[-1] * image.shape[1] * patch**2
    chunks = torch.split(matches, max(BAND_GROUPS * width, _chunk_size(image) // values), dim=1)
    if torch.is_grad_enabled() or len(chunks) == 1:
        return average_patches(function(to_patches(image, matches, patch)), matches, patch, (height, width))
    sums, counts = torch.zeros_like(image), image.new_zeros(len(image), 1, height, width)
    for chunk in chunks:
        top, bottom = int(chunk.min()) // width, int(chunk.max()) // width + patch
        band, within = image[..., top:bottom, :], chunk - top * width
        matrices = function(to_patches(band, within, patch))
        sums[..., top:bottom, :] += add_patches(matrices, within, patch, band.shape[-2:])
        counts[..., top:bottom, :] += count_patches(within, patch, band.shape[-2:], image)
    return sums / counts


@renamed_arguments(positions="matches")
def count_patches(matches: Tensor, patch: int, size: Sequence[int], like: Tensor) -> Tensor:
    """Count the patches of all groups that hold each pixel.

    Args:
        matches: see :func:`match_patches`.
        patch: pixels a side of a patch.
        size: height and width of the image.
        like: a real tensor, of the dtype and device of the counts.

    Returns:
        (batch, 1, height, width).
    """
    batch, corners = len(matches), (size[0] - patch + 1) * (size[1] - patch + 1)
    starts = like.new_zeros(batch * corners)
    for chunk in torch.split(matches, max(1, _chunk_size(like) // matches[:, 0].numel()), dim=1):
        rows = _rows_of(chunk, (batch, 1, *size), patch)
        starts = starts.index_add(0, rows, like.new_ones(1).expand(len(rows)))
    return fold(starts.reshape(batch, 1, corners).expand(-1, patch**2, -1), tuple(size), patch)


def _chunk_size(like: Tensor) -> int:
    """Return the number of values of matrices that are in memory at once."""
    return CHUNK if like.device.type == "cpu" else CHUNK_ON_A_GPU


def _nearest(padded: Tensor, patch: int, band: Band, columns: Tensor, neighbors: int, radius: int) -> Tensor:
    """Return the matches of :func:`match_patches` for the reference patches of a band."""
    width = padded.shape[-1] - 2 * radius
    differences = torch.cat(list(_differences(padded, patch, band, columns, radius)), dim=1).transpose(1, 2)
    count = min(neighbors, differences.shape[-1])
    nearest, chosen = differences.topk(count, dim=-1, largest=False)
    side = 2 * radius + 1
    shift = (chosen // side - radius) * width + chosen % side - radius
    first = (band.rows[:, None] * width + columns).flatten()[:, None]
    matches = first + torch.where(nearest.isinf(), 0, shift)
    return torch.cat([matches, first.expand(*matches.shape[:-1], neighbors - count)], dim=-1)


def _differences(padded: Tensor, patch: int, band: Band, columns: Tensor, radius: int) -> Iterator[Tensor]:
    """Yield squared differences between reference patches and others, (batch, shift, group), per vertical shift."""
    height, width = (side - 2 * radius for side in padded.shape[-2:])
    rows, top, bottom = band
    shifts = torch.arange(-radius, radius + 1, device=padded.device)
    beside = _beyond(columns + shifts[:, None], width - patch)[:, None]
    here = padded[..., top + radius : bottom + radius, radius : radius + width].unbind(1)
    for down in range(2 * radius + 1):
        # All horizontal shifts at once, channel by channel: (batch, shift, row, column).
        there = padded[..., top + down : bottom + down, :].unfold(-1, width, 1).movedim(-2, -3).unbind(1)
        channels = [(one[:, None] - other).square() for one, other in zip(here, there, strict=True)]
        squared = sum(channels[1:], start=channels[0])
        total = _sum_over_patches(_sum_over_patches(squared, rows - top, patch, -2), columns, patch, -1)
        # A patch comes first among equal ones.
        if down == radius:
            total[:, radius] = -1
        outside = beside | _beyond(rows + down - radius, height - patch)[:, None]
        yield total.masked_fill_(outside, torch.inf).flatten(-2)


def _sum_over_patches(values: Tensor, starts: Tensor, patch: int, dim: int) -> Tensor:
    """Return sums of ``patch`` entries of a dim, from each start on."""
    count = values.shape[dim] - patch + 1
    sums = values.narrow(dim, 0, count)
    for offset in range(1, patch):
        sums = sums + values.narrow(dim, offset, count)
    return sums.index_select(dim, starts)


def _beyond(starts: Tensor, last: int) -> Tensor:
    return (starts < 0) | (starts > last)


def _starts(side: int, patch: int, stride: int, device: torch.device) -> Tensor:
    """Return the first pixels of reference patches along a side."""
    last = side - patch
    # Created on the device, since a copy would synchronize with it.
    return torch.arange(0, last + stride, stride, device=device).clamp(max=last)


def _rows_of(matches: Tensor, shape: Sequence[int], patch: int) -> Tensor:
    """Return flat indices of patches among all patches of a batch of images of a shape."""
    height, width = shape[-2] - patch + 1, shape[-1] - patch + 1
    row, column = matches // shape[-1], matches % shape[-1]
    first = torch.arange(shape[0], device=matches.device)[:, None, None] * (height * width)
    return (first + row * width + column).flatten()
