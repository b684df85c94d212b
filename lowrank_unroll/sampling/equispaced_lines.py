"""Equispaced lines, shifted from frame to frame."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.errors import UsageError
from lowrank_unroll.sampling.lines import CenteredLines


@dataclass(frozen=True)
class EquispacedLines(CenteredLines):
    """Every n-th line, n = round(acceleration), and a fully sampled center.

    The lines shift by one from frame to frame, so that any n consecutive frames cover k-space (Kellman, Epstein &
    McVeigh, Magn. Reson. Med. 2001); the shift of the first frame is random.

    Args:
        acceleration: the rate, at least 1: a frame has floor(width / n) or ceil(width / n) equispaced lines, and the
            other lines of the center in addition, so that the net acceleration is below n.
        center_lines: number of lowest frequencies in every frame.

    Raises:
        ValueError: if the acceleration is below 1 or infinite, or center_lines is negative.
    """

    def columns(self, frames: Sequence[int], width: int, generator: torch.Generator) -> Tensor:
        """Draw the sampled lines, (..., time, width), with an independent shift for each leading index.

        Raises:
            UsageError: if the spacing of lines, or the center, is wider than the frame.
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
