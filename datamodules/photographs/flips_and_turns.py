"""Images flipped and turned by quarter turns."""

import torch
from torch import Tensor

from datamodules.photographs.augmentation import Augmentation


class FlipsAndTurns(Augmentation):
    """Flip and turn an image in one of eight ways, each as likely as the others; height and width may be exchanged."""

    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Change an image (channel, height, width); the same generator does the same."""
        turns, flipped = divmod(int(torch.randint(8, (), generator=generator)), 2)
        turned = torch.rot90(image, turns, (-2, -1))
        return turned.flip(-1) if flipped else turned
