"""Radial lines on a Cartesian grid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.sampling.pattern import SamplingPattern, check_frames

GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class PseudoRadial(SamplingPattern):
    """Straight lines through the center of k-space, on the nearest pixels of the grid.

    The lines of a frame have equal angles between them, and each frame is rotated by 0.618 (the golden ratio) of that
    angle, so that any number of frames covers k-space evenly. With ``golden_angle`` each line is rotated by 111.246
    degrees against the previous one, also from frame to frame (Winkelmann et al., IEEE Trans. Med. Imaging 2007). The
    first angle is random. Angles are those in a k-space with sides of equal extent.

    Args:
        lines: diameters per frame, the rate. Each reaches from edge to edge; on n x n pixels all lines together have
            about lines * n - lines^2 / 4 pixels, since they share those at the center.
        golden_angle: rotate each line by the golden angle against the previous one.

    Raises:
        ValueError: if there is not at least one line.
    """

    lines: int
    golden_angle: bool = False

    def __post_init__(self) -> None:
        check_at_least(1, lines=self.lines)

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a mask of shape (..., time, height, width), with an independent first angle for each leading index."""
        check_frames(shape)
        *leading, frames, height, width = shape
        first = torch.rand(*leading, 1, 1, generator=generator, device=generator.device)
        return _rasterize(math.pi * (first + self._turns(frames).to(first)), height, width)

    def _turns(self, frames: int) -> Tensor:
        """Return the angles of all lines relative to the first, in half turns, (time, lines)."""
        frame = torch.arange(frames, dtype=torch.float64)[:, None]
        line = torch.arange(self.lines)
        if self.golden_angle:
            return GOLDEN * (frame * self.lines + line) % 1
        return (line + GOLDEN * frame) / self.lines % 1


def _rasterize(angles: Tensor, height: int, width: int) -> Tensor:
    """Return a mask (..., height, width) of lines through the center, at angles (..., lines) to the width."""
    slope = torch.stack([angles.sin() * height, angles.cos() * width], dim=-1)
    # One step is one pixel along the axis that the line follows more: lines are one pixel thin and have no gaps.
    slope = slope / slope.abs().amax(-1, keepdim=True)
    reach = max(height, width) // 2
    steps = torch.arange(-reach, reach + 1, device=angles.device)
    rows, columns = (slope[..., None, :] * steps[:, None]).round().long().unbind(-1)
    rows, columns = rows + height // 2, columns + width // 2
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    # Points outside are replaced by the center, which is on every line anyway.
    pixels = torch.where(inside, rows * width + columns, height // 2 * width + width // 2).flatten(-2)
    mask = torch.zeros(*angles.shape[:-1], height * width, dtype=torch.bool, device=angles.device)
    return mask.scatter_(-1, pixels, value=True).reshape(*angles.shape[:-1], height, width)
