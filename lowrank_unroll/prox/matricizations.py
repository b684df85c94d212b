"""Which matrices of an image are of low rank: how they are made of it, and it of them."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.prox.blocks import block_count, from_blocks, to_blocks
from lowrank_unroll.prox.patches import average_patches, count_patches, map_patches, match_patches, to_patches
from lowrank_unroll.prox.unfolding import casorati

RMS_NORM = "RMS Frobenius norm"


class Matricization(ABC):
    """Make matrices of an image, and the image of its matrices.

    What :meth:`split` makes of an image :meth:`join` makes the image again.

    Attributes:
        threshold_unit: name of what thresholds are fractions of.
        centred: whether the rows of a matrix resemble each other, so that what they have in common is not shrunk.
    """

    threshold_unit: ClassVar[str] = "largest singular value"
    centred: ClassVar[bool] = False

    def __repr__(self) -> str:
        """The call that makes it."""
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"

    def locate(self, image: Tensor) -> Tensor | None:
        """Where the matrices lie, for those whose places depend on the image; no gradient is taken of it."""
        return None

    @abstractmethod
    def split(self, image: Tensor, places: Tensor | None) -> Tensor:
        """The matrices (..., m, n) of an image."""

    @abstractmethod
    def join(self, matrices: Tensor, places: Tensor | None, image: Tensor) -> Tensor:
        """The image of matrices, shape of the one given, whose values are not used."""

    def map(self, function: Callable[[Tensor], Tensor], image: Tensor, places: Tensor | None) -> Tensor:
        """Apply a function to the matrices, which treats each by itself, and make an image of what comes of them."""
        return self.join(function(self.split(image, places)), places, image)

    def rms_norm(self, image: Tensor, places: Tensor | None) -> Tensor | None:
        """Return the RMS Frobenius norm of an image's matrices, (batch, 1), if they are shrunk by one threshold.

        None where each is shrunk by a fraction of its own largest singular value.
        """
        return None


class Images(Matricization):
    """Each image by itself: the last two dims."""

    def split(self, image: Tensor, places: Tensor | None) -> Tensor:
        """The images, as they are."""
        return image

    def join(self, matrices: Tensor, places: Tensor | None, image: Tensor) -> Tensor:
        """The matrices, as they are."""
        return matrices


class Casorati(Matricization):
    """A whole series as one matrix: (..., time, height, width) becomes time x pixels."""

    def split(self, image: Tensor, places: Tensor | None) -> Tensor:
        """The Casorati matrix (..., time, height * width)."""
        return casorati(image)

    def join(self, matrices: Tensor, places: Tensor | None, image: Tensor) -> Tensor:
        """The series."""
        return matrices.reshape(image.shape)


class Blocks(Matricization):
    """The blocks of a series, each as a Casorati matrix: locally low rank (Trzasko & Manduca, ISMRM 2011).

    Args:
        block: pixels a side.
        cuts: one or more grids: by how many pixels the first block is cut at the top and left, each from 0 to
            block - 1. The blocks of several grids overlap, and are averaged.

    Raises:
        ValueError: if there is no grid, or a number is out of its range.
    """

    threshold_unit: ClassVar[str] = RMS_NORM

    def __init__(self, block: int = 8, cuts: tuple[tuple[int, int], ...] = ((0, 0),)) -> None:
        check_at_least(1, block=block)
        if not cuts or not all(0 <= pixels < block for cut in cuts for pixels in cut):
            raise ValueError(f"cuts is {cuts}, expected one pair or more of numbers from 0 to {block - 1}")
        self.block = block
        self.cuts = cuts

    def split(self, image: Tensor, places: Tensor | None) -> Tensor:
        """The Casorati matrices (..., blocks, time, block * block), grid by grid."""
        return torch.cat([to_blocks(image, self.block, cut) for cut in self.cuts], dim=-3)

    def join(self, matrices: Tensor, places: Tensor | None, image: Tensor) -> Tensor:
        """The mean of the series of all grids."""
        numbers = [block_count(image.shape[-2:], self.block, cut) for cut in self.cuts]
        grids = zip(torch.split(matrices, numbers, dim=-3), self.cuts, strict=True)
        series = [from_blocks(grid, image.shape[-2:], self.block, cut) for grid, cut in grids]
        return sum(series[1:], start=series[0]) / len(series)

    def rms_norm(self, image: Tensor, places: Tensor | None) -> Tensor:
        """Return the RMS Frobenius norm of the blocks of all grids, each of which has the norm of the series."""
        blocks = sum(block_count(image.shape[-2:], self.block, cut) for cut in self.cuts)
        norm: Tensor = torch.linalg.vector_norm(image, dim=(-3, -2, -1))[..., None]
        return norm * math.sqrt(len(self.cuts) / blocks)


class Patches(Matricization):
    """Groups of similar patches, each patch a row: non-local low rank (Dong, Shi & Li, IEEE TIP 2013).

    A complex series (batch, time, height, width) is an image with two channels for each frame, its real and its
    imaginary part: the rows are then what similar pixels do over time.

    Args:
        patch: pixels a side.
        stride: pixels between the patches that groups are made for, at most ``patch``.
        neighbours: patches in a group.
        radius: how many pixels up, down, left and right similar patches are searched.

    Raises:
        ValueError: if a number is out of its range.
    """

    threshold_unit: ClassVar[str] = RMS_NORM
    centred: ClassVar[bool] = True

    def __init__(self, patch: int = 2, stride: int = 2, neighbours: int = 16, radius: int = 10) -> None:
        check_at_least(1, patch=patch, stride=stride, neighbours=neighbours, radius=radius)
        if stride > patch:
            raise ValueError(f"stride is {stride}, expected at most patch, {patch}: pixels would be in no patch")
        self.patch, self.stride, self.neighbours, self.radius = patch, stride, neighbours, radius

    def locate(self, image: Tensor) -> Tensor:
        """Where the patches of each group are in a batch of images (batch, channel, height, width)."""
        return match_patches(_real_channels(image), self.patch, self.stride, self.neighbours, self.radius)

    def split(self, image: Tensor, places: Tensor | None) -> Tensor:
        """The groups of patches, (batch, group, neighbours, channel * patch * patch)."""
        return to_patches(_real_channels(image), self._places(image, places), self.patch)

    def join(self, matrices: Tensor, places: Tensor | None, image: Tensor) -> Tensor:
        """The mean of all patches that a pixel is in."""
        channels = average_patches(matrices, self._places(image, places), self.patch, image.shape[-2:])
        return _from_real_channels(channels, image)

    def map(self, function: Callable[[Tensor], Tensor], image: Tensor, places: Tensor | None) -> Tensor:
        """Apply a function to the groups of patches, part by part where there are many."""
        channels = map_patches(function, _real_channels(image), self._places(image, places), self.patch)
        return _from_real_channels(channels, image)

    def rms_norm(self, image: Tensor, places: Tensor | None) -> Tensor:
        """Return the RMS Frobenius norm of the groups of each sample."""
        channels, places = _real_channels(image), self._places(image, places)
        counts = count_patches(places, self.patch, image.shape[-2:], channels)
        norm: Tensor = torch.linalg.vector_norm(counts.sqrt() * channels, dim=(-3, -2, -1))[..., None]
        return norm / math.sqrt(places.shape[-2])

    def _places(self, image: Tensor, places: Tensor | None) -> Tensor:
        return self.locate(image) if places is None else places


def _real_channels(image: Tensor) -> Tensor:
    """The real parts of all channels and then the imaginary ones; a real image as it is."""
    return torch.cat([image.real, image.imag], dim=1) if image.is_complex() else image


def _from_real_channels(channels: Tensor, image: Tensor) -> Tensor:
    """Return the image whose :func:`_real_channels` are given, complex if ``image`` is."""
    return torch.complex(*channels.chunk(2, dim=1)) if image.is_complex() else channels
