"""Regular undersampling, shifted from frame to frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.errors import UsageError
from lowrank_unroll.sampling.lines import CenteredLines


@dataclass(frozen=True)
class EquispacedLines(CenteredLines):
    """Every n-th line, n = round(acceleration), and a fully sampled centre.

    The lines move on by one from frame to frame, so that any n frames in a row cover k-space (Kellman, Epstein &
    McVeigh, Magn. Reson. Med. 2001); those of the first frame are random.

    Args:
        acceleration: the rate, at least 1: a frame has floor(width / n) or ceil(width / n) equispaced lines, and those
            of the centre that are not among them on top, so that the net acceleration is below n.
        center_lines: how many of the lowest frequencies are in every frame.

    Raises:
        ValueError: if the acceleration is below 1 or infinite, or center_lines is negative.
    """

    def columns(self, frames: Sequence[int], width: int, generator: torch.Generator) -> Tensor:
        """Which lines are sampled, (..., time, width), each leading index with a first line of its own.

        Raises:
            UsageError: if lines would be further apart than the frame is wide, or the centre is wider.
        """
        spacing = round(self.acceleration)
        if spacing > width:
            raise UsageError(f"acceleration is {self.acceleration}, expected at most the width, {width}")
        *leading, time = frames
        device = generator.device
        first = torch.randint(spacing, (*leading, 1, 1), generator=generator, device=device)
        shift = first + torch.arange(time, device=device)[:, None]
        equispaced = (torch.arange(width, device=device) - shift) % spacing == 0
        return equispaced | self.center(width, width, device)
