"""Spiral trajectories."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least, check_positive
from lowrank_unroll.sampling.pattern import check_frames
from lowrank_unroll.sampling.pseudo_radial import GOLDEN
from lowrank_unroll.sampling.trajectory import TrajectoryPattern

STEPS = 2**12  # of the numerical length of a spiral


@dataclass(frozen=True)
class Spiral(TrajectoryPattern):
    """Interleaved spirals from the center of k-space to its edge, with samples at equal distances along the arc.

        k(s) = 1/2 s^power exp(2 pi i turns s),    0 <= s <= 1,

    in cycles per pixel (Kim, Adalsteinsson & Spielman, Magn. Reson. Med. 50, 2003). The interleaves of a frame have
    equal angles between them, and each frame is turned by 0.618 (the golden ratio) of that angle; the first angle is
    random. Turns are ``power / (2 * turns * interleaves)`` cycles per pixel apart at the edge.

    Args:
        interleaves: spirals per frame.
        turns: of each spiral.
        power: 1 for turns at equal distances, larger for a denser center.
        samples: of a spiral; None for samples at most one cycle per field of view apart (Nyquist).

    Raises:
        ValueError: if a number is not positive.
    """

    interleaves: int
    turns: float = 4.0
    power: float = 1.5
    samples: int | None = None

    def __post_init__(self) -> None:
        check_at_least(1, interleaves=self.interleaves)
        check_positive(turns=self.turns, power=self.power)
        if self.samples is not None:
            check_at_least(1, samples=self.samples)

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw spirals, (..., time, interleaves * samples, 2), with an independent first angle for each series."""
        check_frames(shape)
        *leading, frames, height, width = shape
        first = torch.rand(*leading, 1, 1, 1, generator=generator, device=generator.device)
        frame = torch.arange(frames, dtype=torch.float64)[:, None]
        rotations = (torch.arange(self.interleaves) + GOLDEN * frame) / self.interleaves % 1
        radius, angle = (torch.from_numpy(part).to(first) for part in self._arc(max(height, width)))
        angles = angle + 2 * math.pi * (first + rotations[..., None].to(first))
        spirals = torch.stack([radius * angles.sin() * height, radius * angles.cos() * width], dim=-1)
        return spirals.flatten(-3, -2)

    def _arc(self, side: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return radius (cycles per pixel) and angle of the samples of one spiral."""
        steps = np.linspace(0, 1, STEPS)
        spiral = 0.5 * steps**self.power * np.exp(2j * np.pi * self.turns * steps)
        length = np.concatenate([[0.0], np.abs(np.diff(spiral)).cumsum()])
        samples = self.samples or math.ceil(length[-1] * side) + 1
        s = np.interp(np.linspace(0, length[-1], samples), length, steps)
        return 0.5 * s**self.power, 2 * np.pi * self.turns * s
