"""Photographs whose channels differ, as those of scanned film do."""

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from datamodules.photographs.augmentation import Augmentation
from datamodules.photographs.colours import WHITE
from lowrank_unroll.checks import check_not_negative

MOVED = 0.7  # share of the images whose channels are moved


class ChannelsApart(Augmentation):
    """Change the order of the channels, move each by a fraction of a pixel, and give each grain of its own.

    A camera interpolates two thirds of its colours, and JPEG halves their resolution: all channels of a photograph then
    have the same details. A network trained on these relies on it, and errs on images where that does not hold.

    Args:
        shift: up to how many pixels each channel is moved in each direction, in seven of ten images.
        grain: up to which standard deviation noise is added to a channel, of 255.

    Raises:
        ValueError: if a number is negative or not finite.
    """

    def __init__(self, shift: float = 0.6, grain: float = 5.0) -> None:
        check_not_negative(shift=shift, grain=grain)
        self.shift = shift
        self.grain = grain

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Change an image (channel, height, width) with values in [0, 1]; the same generator does the same."""
        image = image[torch.randperm(len(image), generator=generator)]
        if torch.rand((), generator=generator) < MOVED:
            image = _moved(image, self.shift * (2 * torch.rand(len(image), 2, generator=generator) - 1))
        # Some images have more of it than others, and some of their channels.
        strength = torch.rand((), generator=generator) * torch.rand(len(image), 1, 1, generator=generator)
        noise = torch.randn(image.shape, generator=generator)
        return (image + self.grain / WHITE * strength * noise).clamp(0, 1)


def _moved(image: Tensor, pixels: Tensor) -> Tensor:
    """Each channel moved by some pixels (channel, 2), along and down, interpolated linearly."""
    sides = torch.tensor([image.shape[-1], image.shape[-2]])
    maps = torch.eye(2, 3).repeat(len(image), 1, 1)
    maps[:, :, 2] = 2 * pixels / sides
    grid = affine_grid(maps, [len(image), 1, *image.shape[-2:]], align_corners=False)
    moved = grid_sample(image[:, None], grid, padding_mode="reflection", align_corners=False)
    return moved[:, 0]
