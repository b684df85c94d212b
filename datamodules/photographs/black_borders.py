"""Photographs with black borders, on which autograd of singular vectors fails."""

import torch
from torch import Tensor

from datamodules.photographs.augmentation import Augmentation
from lowrank_unroll.checks import check_at_least


class BlackBorders(Augmentation):
    """Make an image black from the border on, as scans and letterboxed films are.

    Its rows and columns there are zero, and so are as many of its singular values, which repeat: autograd divides by
    their difference, see docs/results.md.

    Args:
        width: how many pixels from each side.

    Raises:
        ValueError: if the width is below 1.
    """

    def __init__(self, width: int = 8) -> None:
        check_at_least(1, width=width)
        self.width = width

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Blacken the border of an image (channel, height, width); nothing of it is random.

        Raises:
            ValueError: if nothing would be left of it.
        """
        if min(image.shape[-2:]) <= 2 * self.width:
            raise ValueError(f"the image is {tuple(image.shape[-2:])}, all of it within {self.width} pixels of a side")
        bordered = torch.zeros_like(image)
        inside = (..., slice(self.width, -self.width), slice(self.width, -self.width))
        bordered[inside] = image[inside]
        return bordered
