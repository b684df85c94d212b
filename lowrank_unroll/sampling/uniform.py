"""Uniform random sampling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.checks import check_share
from lowrank_unroll.sampling.drawing import largest
from lowrank_unroll.sampling.pattern import SamplingPattern, check_planes


@dataclass(frozen=True)
class Uniform(SamplingPattern):
    """The same number of pixels in every plane, drawn uniformly and independently.

    Args:
        ratio: fraction of the pixels to sample, in (0, 1]; every plane has round(ratio * height * width) of them, at
            least one. Or the smallest and largest fraction, between which each call draws one for all planes.

    Raises:
        ValueError: if a ratio is outside (0, 1], or the smallest does not come first.
    """

    ratio: float | tuple[float, float]

    def __post_init__(self) -> None:
        for ratio in self._limits():
            check_share(ratio=ratio)
        smallest, largest = self._limits()
        if smallest > largest:
            raise ValueError(f"ratio is {self.ratio}, expected the smallest share first")

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a mask of shape (..., height, width), independently in each plane."""
        check_planes(shape)
        pixels, ratio = math.prod(shape[-2:]), self._draw_ratio(generator)
        keys = torch.rand(*shape[:-2], pixels, generator=generator, device=generator.device)
        return largest(keys, max(1, round(ratio * pixels))).reshape(*shape)

    def _limits(self) -> tuple[float, float]:
        return self.ratio if isinstance(self.ratio, tuple) else (self.ratio, self.ratio)

    def _draw_ratio(self, generator: torch.Generator) -> float:
        smallest, largest = self._limits()
        if smallest == largest:
            return smallest
        return smallest + (largest - smallest) * float(torch.rand((), generator=generator, device=generator.device))
