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
    """The same number of pixels, uniformly at random and independently, in every plane.

    Args:
        ratio: share of the pixels to sample, in (0, 1]; every plane has round(ratio * height * width) of them, at
            least one.

    Raises:
        ValueError: if the ratio is outside (0, 1].
    """

    ratio: float

    def __post_init__(self) -> None:
        check_share(ratio=self.ratio)

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a mask of shape (..., height, width), each plane by itself."""
        check_planes(shape)
        pixels = math.prod(shape[-2:])
        keys = torch.rand(*shape[:-2], pixels, generator=generator, device=generator.device)
        return largest(keys, max(1, round(self.ratio * pixels))).reshape(*shape)
