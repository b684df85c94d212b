"""Bases of patterns of Cartesian lines."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sampling.drawing import central
from lowrank_unroll.sampling.pattern import SamplingPattern, check_frames


@dataclass(frozen=True)
class CartesianLines(SamplingPattern):
    """Columns of k-space, each sampled along the whole height.

    Args:
        acceleration: the rate, at least 1; each pattern defines its number of lines.

    Raises:
        ValueError: if the acceleration is below 1 or infinite.
    """

    acceleration: float

    def __post_init__(self) -> None:
        if not 1 <= self.acceleration < math.inf:
            raise ValueError(f"acceleration is {self.acceleration}, expected a finite number of at least 1")

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a mask of shape (..., time, height, width)."""
        check_frames(shape)
        *frames, _, width = shape
        return self.columns(frames, width, generator)[..., None, :].expand(*shape).contiguous()

    @abstractmethod
    def columns(self, frames: Sequence[int], width: int, generator: torch.Generator) -> Tensor:
        """Draw the sampled lines, boolean, (..., time, width), for frames = (..., time)."""


@dataclass(frozen=True)
class CenteredLines(CartesianLines):
    """Columns of k-space, with those of the lowest frequencies in every frame.

    Args:
        acceleration: the rate, at least 1; each pattern defines its number of lines.
        center_lines: number of lowest frequencies in every frame.

    Raises:
        ValueError: if the acceleration is below 1 or infinite, or center_lines is negative.
    """

    center_lines: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(0, center_lines=self.center_lines)

    def center(self, width: int, most: int, device: torch.device) -> Tensor:
        """Return a mask of the lines that are in every frame, (width,).

        Raises:
            UsageError: if there are more than `most`, the number of lines that a frame can have.
        """
        if self.center_lines > most:
            raise UsageError(
                f"center_lines is {self.center_lines}, but a frame of width {width} has {most} lines at acceleration "
                f"{self.acceleration}: expected fewer center_lines or a smaller acceleration"
            )
        return central(width, self.center_lines, device)


def lines_per_frame(width: int, acceleration: float) -> int:
    """Return round(width / acceleration), or 1 if that is 0.

    >>> lines_per_frame(192, 8)
    24
    """
    return max(1, round(width / acceleration))
