"""Low-rank matrices of an image: how to make them of it, and the image of them."""

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.prox.blocks import block_count, from_blocks, to_blocks
from lowrank_unroll.prox.patches import average_patches, count_patches, map_patches, match_patches, to_patches
from lowrank_unroll.prox.unfolding import casorati

RMS_NORM = "RMS Frobenius norm"


class Matricization(ABC):
    """Make matrices of an image, and the image of its matrices.

    :meth:`join` is a left inverse of :meth:`split`.

    Attributes:
        threshold_unit: name of the quantity that thresholds are fractions of.
        centered: True if the mean of the rows of a matrix is subtracted before the shrinkage, and added after it.
    """

    threshold_unit: ClassVar[str] = "largest singular value"
    centered: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "centred" in cls.__dict__:
            message = f"{cls.__name__}.centred is now called centered"
            warnings.warn(message, DeprecationWarning, stacklevel=2)
            cls.centered = cls.__dict__["centred"]

    def __repr__(self) -> str:
        """Return the call that makes it."""
        settings = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({settings})"

    def locate(self, image: Tensor) -> Tensor | None:
        """Find the matches, the patches of each matrix, without gradient; None if they do not depend on the image."""
        return None

    @abstractmethod
    def split(self, image: Tensor, matches: Tensor | None) -> Tensor:
        """Return the matrices (..., m, n) of an image."""

    @abstractmethod
    def join(self, matrices: Tensor, matches: Tensor | None, image: Tensor) -> Tensor:
        """Return the image of matrices, of the shape and dtype of ``image``, whose values are not used."""

    def map(self, function: Callable[[Tensor], Tensor], image: Tensor, matches: Tensor | None) -> Tensor:
        """Apply a function that treats each matrix by itself, and join the results."""
        return self.join(function(self.split(image, matches)), matches, image)

    def rms_norm(self, image: Tensor, matches: Tensor | None) -> Tensor | None:
        """Return the RMS Frobenius norm of each sample's matrices, (batch, 1), if one threshold is for all of them.

        None if each matrix is shrunk by a fraction of its own largest singular value.
        """
        return None


class Frames(Matricization):
    """Each frame or channel by itself: the last two dims."""

    def split(self, image: Tensor, matches: Tensor | None) -> Tensor:
        """Return the image."""
        return image

    def join(self, matrices: Tensor, matches: Tensor | None, image: Tensor) -> Tensor:
        """Return the matrices."""
        return matrices


class Casorati(Matricization):
    """A whole series as one Casorati matrix: (..., time, height, width) becomes time x pixels.

    Of a multi- or hyperspectral cube (..., band, height, width) it is the unfolding along the spectrum, band x pixels.
    """

    def split(self, image: Tensor, matches: Tensor | None) -> Tensor:
        """Return the Casorati matrix (..., time, height * width)."""
        return casorati(image)

    def join(self, matrices: Tensor, matches: Tensor | None, image: Tensor) -> Tensor:
        """Return the series."""
        return matrices.reshape(image.shape)


class FourierSlices(Matricization):
    """The slices of the Fourier transform along the spectrum of (..., band, height, width), each height x width: t-SVD.

    The transform is orthonormal (Kilmer & Martin, Linear Algebra Appl. 2011).
    """

    def split(self, image: Tensor, matches: Tensor | None) -> Tensor:
        """Return the slices (..., band, height, width), complex."""
        slices: Tensor = torch.fft.fft(at_least_single(image), dim=-3, norm="ortho")
        return slices

    def join(self, matrices: Tensor, matches: Tensor | None, image: Tensor) -> Tensor:
        """Return the inverse transform, its real part if ``image`` is real."""
        joined: Tensor = torch.fft.ifft(matrices, dim=-3, norm="ortho")
        return (joined if image.is_complex() else joined.real).to(image.dtype)


class Blocks(Matricization):
    """The Casorati matrices of the blocks of a series: locally low rank (Trzasko & Manduca, ISMRM 2011).

    Args:
        block: pixels a side.
        offsets: of one or more grids of blocks, see :func:`to_blocks`. The blocks of several grids overlap, and are
            averaged.
        cuts: deprecated name of ``offsets``.

    Raises:
        ValueError: if there is no grid, or a number is out of its range.
    """

    threshold_unit: ClassVar[str] = RMS_NORM

    def __init__(
        self,
        block: int = 8,
        offsets: tuple[tuple[int, int], ...] = ((0, 0),),
        cuts: tuple[tuple[int, int], ...] | None = None,
    ) -> None:
        check_at_least(1, block=block)
        if cuts is not None:
            warnings.warn("the argument cuts of Blocks is now offsets", DeprecationWarning, stacklevel=2)
            offsets = cuts
        if not offsets or not all(0 <= pixels < block for offset in offsets for pixels in offset):
            raise ValueError(f"offsets is {offsets}, expected one pair or more of numbers from 0 to {block - 1}")
        self.block = block
        self.offsets = offsets

    def split(self, image: Tensor, matches: Tensor | None) -> Tensor:
        """Return the Casorati matrices (..., blocks, time, block * block), grid by grid."""
        return torch.cat([to_blocks(image, self.block, offset) for offset in self.offsets], dim=-3)

    def join(self, matrices: Tensor, matches: Tensor | None, image: Tensor) -> Tensor:
        """Return the mean of the series of all grids."""
        counts = [block_count(image.shape[-2:], self.block, offset) for offset in self.offsets]
        grids = zip(torch.split(matrices, counts, dim=-3), self.offsets, strict=True)
        series = [from_blocks(grid, image.shape[-2:], self.block, offset) for grid, offset in grids]
        return sum(series[1:], start=series[0]) / len(series)

    def rms_norm(self, image: Tensor, matches: Tensor | None) -> Tensor:
        """Return the RMS Frobenius norm of the blocks of all grids; the blocks of each have the norm of the series."""
        blocks = sum(block_count(image.shape[-2:], self.block, offset) for offset in self.offsets)
        norm: Tensor = torch.linalg.vector_norm(image, dim=(-3, -2, -1))[..., None]
        return norm * math.sqrt(len(self.offsets) / blocks)


class Patches(Matricization):
    """Groups of similar patches, each patch a row: non-local low rank (Dong, Shi & Li, IEEE TIP 2013).

    A complex series (batch, time, height, width) is an image with two channels for each frame, its real and its
    imaginary part: the rows are then the time curves of similar pixels.

    Args:
        patch: pixels a side.
        stride: pixels between reference patches, each of which has a group; at most ``patch``.
        neighbors: patches in a group.
        radius: of the search for similar patches, in pixels up, down, left and right.
        neighbours: deprecated spelling of ``neighbors``, until version 0.3.

    Raises:
        ValueError: if a number is out of its range.
    """

    threshold_unit: ClassVar[str] = RMS_NORM
    centered: ClassVar[bool] = True

    def __init__(
        self, patch: int = 2, stride: int = 2, neighbors: int = 16, radius: int = 10, neighbours: int | None = None
    ) -> None:
        if neighbours is not None:
            warnings.warn("the argument neighbours of Patches is now neighbors", DeprecationWarning, stacklevel=2)
            neighbors = neighbours
        check_at_least(1, patch=patch, stride=stride, neighbors=neighbors, radius=radius)
        if stride > patch:
            raise ValueError(f"stride is {stride}, expected at most patch, {patch}: pixels would be in no patch")
        self.patch, self.stride, self.neighbors, self.radius = patch, stride, neighbors, radius

    @property
    def neighbours(self) -> int:
        """Number of patches in a group; deprecated, now ``neighbors``."""
        warnings.warn("Patches.neighbours is now called neighbors", DeprecationWarning, stacklevel=2)
        return self.neighbors

    def locate(self, image: Tensor) -> Tensor:
        """Return the matches, see :func:`match_patches`, of images (batch, channel, height, width)."""
        return match_patches(_real_channels(image), self.patch, self.stride, self.neighbors, self.radius)

    def split(self, image: Tensor, matches: Tensor | None) -> Tensor:
        """Return the groups of patches, (batch, group, neighbors, channel * patch * patch)."""
        return to_patches(_real_channels(image), self._matches(image, matches), self.patch)

    def join(self, matrices: Tensor, matches: Tensor | None, image: Tensor) -> Tensor:
        """Return the image whose pixels are the means over all patches that hold them."""
        channels = average_patches(matrices, self._matches(image, matches), self.patch, image.shape[-2:])
        return _from_real_channels(channels, image)

    def map(self, function: Callable[[Tensor], Tensor], image: Tensor, matches: Tensor | None) -> Tensor:
        """Apply a function to the groups of patches, in chunks if there are many."""
        channels = map_patches(function, _real_channels(image), self._matches(image, matches), self.patch)
        return _from_real_channels(channels, image)

    def rms_norm(self, image: Tensor, matches: Tensor | None) -> Tensor:
        """Return the RMS Frobenius norm of the groups of each sample."""
        channels, matches = _real_channels(image), self._matches(image, matches)
        counts = count_patches(matches, self.patch, image.shape[-2:], channels)
        norm: Tensor = torch.linalg.vector_norm(counts.sqrt() * channels, dim=(-3, -2, -1))[..., None]
        return norm / math.sqrt(matches.shape[-2])

    def _matches(self, image: Tensor, matches: Tensor | None) -> Tensor:
        return self.locate(image) if matches is None else matches


def _real_channels(image: Tensor) -> Tensor:
    """Return the real parts of all channels and then the imaginary parts; a real image as it is."""
    return torch.cat([image.real, image.imag], dim=1) if image.is_complex() else image


def _from_real_channels(channels: Tensor, image: Tensor) -> Tensor:
    """Return the image whose :func:`_real_channels` are given, complex if ``image`` is."""
    return torch.complex(*channels.chunk(2, dim=1)) if image.is_complex() else channels
