"""Noise of measured values of colour images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.photographs.colours import WHITE
from lowrank_unroll.checks import check_probability


@dataclass(frozen=True)
class GaussianNoise:
    """Independent Gaussian noise of every value.

    Args:
        deviation: its standard deviation, of 255; or the smallest and largest, between which each call draws its own.
        share: of the calls that draw noise, in [0, 1]; the others draw zeros.

    Raises:
        ValueError: if a number is out of its range, or the smallest deviation does not come first.
    """

    deviation: float | tuple[float, float] = 0.0
    share: float = 1.0

    def __post_init__(self) -> None:
        smallest, largest = self._limits()
        if not 0 <= smallest <= largest < math.inf:
            raise ValueError(f"noise is {self.deviation}, expected 0 or a positive number, or two, the smallest first")
        check_probability(noisy=self.share)

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw noise of a shape, in the unit of images in [0, 1]; the same generator does the same."""
        smallest, largest = self._limits()
        if largest == 0 or (self.share < 1 and torch.rand((), generator=generator) >= self.share):
            return torch.zeros(*shape)
        deviation = smallest
        if smallest < largest:
            deviation += (largest - smallest) * float(torch.rand((), generator=generator))
        return deviation / WHITE * torch.randn(*shape, generator=generator)

    def _limits(self) -> tuple[float, float]:
        return self.deviation if isinstance(self.deviation, tuple) else (self.deviation, self.deviation)
