"""Augmentations: random changes of colour images to train on."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from datamodules.photographs.colours import WHITE
from lowrank_unroll.checks import check_at_least, check_not_negative, check_share

SHIFT_PROBABILITY = 0.7


class Augmentation(ABC):
    """A random change of an image before it is measured."""

    @abstractmethod
    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed image (channel, height, width), values in [0, 1]; random numbers are the generator's."""


class FlipsAndTurns(Augmentation):
    """Flip and rotate an image to one of its eight symmetries, equally likely; height and width may be exchanged."""

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed image (channel, height, width); random numbers are the generator's."""
        rotations, flipped = divmod(int(torch.randint(8, (), generator=generator)), 2)
        turned = torch.rot90(image, rotations, (-2, -1))
        return turned.flip(-1) if flipped else turned


class ChannelsApart(Augmentation):
    """Permute the channels, shift each by a fraction of a pixel, and add grain to each, as in scanned film.

    A camera interpolates two thirds of its colours, and JPEG halves their resolution: all channels of a photograph have
    the same details. A network trained on photographs relies on that, and fails on other images.

    Args:
        shift: largest shift of a channel in each direction, in pixels; seven of ten images are shifted.
        grain: largest standard deviation of the noise of a channel, of 255.

    Raises:
        ValueError: if a number is negative or not finite.
    """

    def __init__(self, shift: float = 0.6, grain: float = 5.0) -> None:
        check_not_negative(shift=shift, grain=grain)
        self.shift = shift
        self.grain = grain

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed image (channel, height, width), values in [0, 1]; random numbers are the generator's."""
        image = image[torch.randperm(len(image), generator=generator)]
        if torch.rand((), generator=generator) < SHIFT_PROBABILITY:
            image = _shifted(image, self.shift * (2 * torch.rand(len(image), 2, generator=generator) - 1))
        # The grain differs between images, and between the channels of an image.
        strength = torch.rand((), generator=generator) * torch.rand(len(image), 1, 1, generator=generator)
        noise = torch.randn(image.shape, generator=generator)
        return (image + self.grain / WHITE * strength * noise).clamp(0, 1)


def _shifted(image: Tensor, pixels: Tensor) -> Tensor:
    """Shift each channel by some pixels (channel, 2), along x and y, with linear interpolation."""
    sides = torch.tensor([image.shape[-1], image.shape[-2]])
    maps = torch.eye(2, 3).repeat(len(image), 1, 1)
    maps[:, :, 2] = 2 * pixels / sides
    grid = affine_grid(maps, [len(image), 1, *image.shape[-2:]], align_corners=False)
    moved = grid_sample(image[:, None], grid, padding_mode="reflection", align_corners=False)
    return moved[:, 0]


class BlackBorders(Augmentation):
    """Set the border of an image to zero, as in scans and letterboxed films.

    As many singular values are then zero, and equal: autograd of singular vectors divides by their difference, see
    docs/results.md.

    Args:
        width: of the border, in pixels.

    Raises:
        ValueError: if the width is below 1.
    """

    def __init__(self, width: int = 8) -> None:
        check_at_least(1, width=width)
        self.width = width

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return the image (channel, height, width) with a black border; nothing is random.

        Raises:
            ValueError: if the border would cover all of it.
        """
        if min(image.shape[-2:]) <= 2 * self.width:
            raise ValueError(f"the image is {tuple(image.shape[-2:])}, all of it within {self.width} pixels of a side")
        bordered = torch.zeros_like(image)
        inside = (..., slice(self.width, -self.width), slice(self.width, -self.width))
        bordered[inside] = image[inside]
        return bordered


class Compose(Augmentation):
    """Apply augmentations one after the other.

    Args:
        augmentations: in the order of application.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, augmentations: Sequence[Augmentation]) -> None:
        if not augmentations:
            raise ValueError(f"augmentations is {augmentations}, expected at least one augmentation")
        self.augmentations = tuple(augmentations)

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed image (channel, height, width), values in [0, 1]; random numbers are the generator's."""
        for augmentation in self.augmentations:
            image = augmentation(image, generator)
        return image


class RandomApply(Augmentation):
    """Apply an augmentation to a share of the images, and leave the others as they are.

    A network that is trained on both kinds learns to tell them apart, such as ordinary photographs and those changed by
    :class:`ChannelsApart`.

    Args:
        augmentation: to apply.
        share: of the images that it is applied to, above 0 and at most 1.

    Raises:
        ValueError: if the share is out of its range.
    """

    def __init__(self, augmentation: Augmentation, share: float = 0.5) -> None:
        check_share(share=share)
        self.augmentation = augmentation
        self.share = share

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed image (channel, height, width), values in [0, 1]; random numbers are the generator's."""
        chosen = bool(torch.rand((), generator=generator) < self.share)
        return self.augmentation(image, generator) if chosen else image
