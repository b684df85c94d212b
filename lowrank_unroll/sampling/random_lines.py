"""Random lines, with uniform or Gaussian density."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.checks import check_positive
from lowrank_unroll.sampling.drawing import draw, frequencies
from lowrank_unroll.sampling.lines import CenteredLines, lines_per_frame


@dataclass(frozen=True)
class RandomLines(CenteredLines):
    """The same number of lines in every frame: a fully sampled center and others, uniformly at random.

    Args:
        acceleration: the rate, at least 1; every frame has round(width / acceleration) lines, at least one, the center
            included.
        center_lines: number of lowest frequencies in every frame.

    Raises:
        ValueError: if the acceleration is below 1 or infinite, or center_lines is negative.
    """

    def columns(self, frames: Sequence[int], width: int, generator: torch.Generator) -> Tensor:
        """Draw the sampled lines, (..., time, width), without replacement, independently in each frame.

        Raises:
            UsageError: if the center has more lines than a frame.
        """
        count = lines_per_frame(width, self.acceleration)
        center = self.center(width, count, generator.device)
        log_weights = self._log_weights(frequencies(width, generator.device)).expand(*frames, width)
        return draw(log_weights, center, count, generator)

    def _log_weights(self, frequency: Tensor) -> Tensor:
        return torch.zeros_like(frequency)


@dataclass(frozen=True)
class KtGaussian(RandomLines):
    """Random lines with Gaussian density around the zero frequency.

    The pattern of k-t FOCUSS (Jung et al., Magn. Reson. Med. 2009).

    Args:
        acceleration: the rate, at least 1; every frame has round(width / acceleration) lines, at least one, the center
            included.
        center_lines: number of lowest frequencies in every frame.
        deviation: standard deviation of the density as a fraction of the width, positive. Lines are drawn without
            replacement, so that the sampled ones spread wider.

    Raises:
        ValueError: if an argument is outside its range.
    """

    deviation: float = 0.15

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(deviation=self.deviation)

    def _log_weights(self, frequency: Tensor) -> Tensor:
        return -((frequency / self.deviation) ** 2) / 2
