"""Augmentations one after the other, and some of them only now and then."""

from collections.abc import Sequence

import torch
from torch import Tensor

from datamodules.photographs.augmentation import Augmentation
from lowrank_unroll.checks import check_share


class Compose(Augmentation):
    """Apply augmentations one after the other.

    Args:
        augmentations: in their order.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, augmentations: Sequence[Augmentation]) -> None:
        if not augmentations:
            raise ValueError(f"augmentations is {augmentations}, expected one augmentation at least")
        self.augmentations = tuple(augmentations)

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Change an image (channel, height, width) with values in [0, 1]; the same generator does the same."""
        for augmentation in self.augmentations:
            image = augmentation(image, generator)
        return image


class RandomApply(Augmentation):
    """Apply an augmentation to a share of the images, and leave the others as they are.

    A network that sees both learns to tell them apart: ordinary photographs, say, and those that
    :class:`ChannelsApart` made of them.

    Args:
        augmentation: what is applied.
        share: of the images that it is applied to, above 0 and at most 1.

    Raises:
        ValueError: if the share is out of its range.
    """

    def __init__(self, augmentation: Augmentation, share: float = 0.5) -> None:
        check_share(share=share)
        self.augmentation = augmentation
        self.share = share

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Change an image (channel, height, width) with values in [0, 1]; the same generator does the same."""
        chosen = bool(torch.rand((), generator=generator) < self.share)
        return self.augmentation(image, generator) if chosen else image
