"""What may be changed of images to train on."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Augmentation(ABC):
    """A random change of an image before it is measured."""

    @abstractmethod
    def __call__(self, image: Tensor, generator: torch.Generator) -> Tensor:
        """Change an image (channel, height, width) with values in [0, 1]; the same generator does the same."""
