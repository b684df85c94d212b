"""Variable-density random sampling."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.checks import check_not_negative, check_share
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sampling.drawing import central, draw, frequencies
from lowrank_unroll.sampling.pattern import SamplingPattern, check_planes

FLOOR = 1e-6  # of 1 - r, so that the pixels in the corners have a density above zero


@dataclass(frozen=True)
class VariableDensity(SamplingPattern):
    """The same number of pixels in every plane, drawn with polynomial density around a fully sampled center.

    Outside the center, pixels are drawn in proportion to (1 - r)^power, with r the distance from the zero frequency, 1
    in the corners (Lustig, Donoho & Pauly, Magn. Reson. Med. 2007), independently in every plane.

    Args:
        ratio: fraction of the pixels to sample, in (0, 1]; every plane has round(ratio * height * width) of them, at
            least one, the center included.
        power: non-negative; 0 is uniform.
        center: fraction of each side that the fully sampled center takes, in [0, 1]: a rectangle of round(center *
            height) x round(center * width) pixels.

    Raises:
        ValueError: if an argument is outside its range.
    """

    ratio: float
    power: float = 3.0
    center: float = 0.1

    def __post_init__(self) -> None:
        check_share(ratio=self.ratio)
        check_not_negative(power=self.power)
        if not 0 <= self.center <= 1:
            raise ValueError(f"center is {self.center}, expected a share, from 0 to 1")

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a mask of shape (..., height, width), independently in each plane.

        Raises:
            UsageError: if the center has more pixels than the ratio allows.
        """
        check_planes(shape)
        height, width = shape[-2:]
        center = self._center(height, width, generator.device)
        count = max(1, round(self.ratio * height * width))
        if center.sum() > count:
            raise UsageError(
                f"center is {self.center}, that is {int(center.sum())} of {height} x {width} pixels, but ratio "
                f"{self.ratio} samples {count}: expected a smaller center or a larger ratio"
            )
        log_weights = self._log_weights(height, width, generator.device).flatten().expand(*shape[:-2], -1)
        return draw(log_weights, center.flatten(), count, generator).reshape(*shape)

    def _center(self, height: int, width: int, device: torch.device) -> Tensor:
        rows, columns = (central(side, round(self.center * side), device) for side in (height, width))
        return rows[:, None] & columns

    def _log_weights(self, height: int, width: int, device: torch.device) -> Tensor:
        y, x = frequencies(height, device), frequencies(width, device)
        radius = torch.hypot(y[:, None], x) * math.sqrt(2)
        return self.power * (1 - radius).clamp(min=FLOOR).log()
