"""Radial trajectories."""

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.sampling.drawing import frequencies
from lowrank_unroll.sampling.pattern import check_frames
from lowrank_unroll.sampling.pseudo_radial import GOLDEN
from lowrank_unroll.sampling.trajectory import TrajectoryPattern


@dataclass(frozen=True)
class RadialSpokes(TrajectoryPattern):
    """Diameters of k-space. Angles are those in a k-space with sides of equal extent; the first angle is random.

    Args:
        spokes: diameters per frame.
        samples: of a spoke, the zero frequency at samples // 2; None for the longer side of the image, which is enough
            for the field of view (Nyquist).

    Raises:
        ValueError: if there is not at least one spoke and one sample.
    """

    spokes: int
    samples: int | None = None

    def __post_init__(self) -> None:
        check_at_least(1, spokes=self.spokes)
        if self.samples is not None:
            check_at_least(1, samples=self.samples)

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw spokes, (..., time, spokes * samples, 2), with an independent first angle for each series."""
        check_frames(shape)
        *leading, frames, height, width = shape
        first = torch.rand(*leading, 1, 1, generator=generator, device=generator.device)
        angles = math.pi * (first + self.turns(frames).to(first))
        ends = torch.stack([angles.sin() * height, angles.cos() * width], dim=-1)
        readout = frequencies(self.samples or max(height, width), generator.device)
        return (readout[:, None] * ends[..., None, :]).flatten(-3, -2)

    @abstractmethod
    def turns(self, frames: int) -> Tensor:
        """Return the angles of all spokes relative to the first, in half turns, (time, spokes), float64."""


@dataclass(frozen=True)
class GoldenAngleRadial(RadialSpokes):
    """Spokes, each turned by a golden angle against the previous one, also from frame to frame.

    Any number of consecutive spokes covers k-space evenly, so that frames can be made of as many as one likes. The n-th
    tiny golden angle is pi / (tau + n - 1), with tau the golden ratio (1 + sqrt(5)) / 2 (Wundrak et al., IEEE Trans.
    Med. Imaging 34, 2015): 111.246 degrees for n = 1 (Winkelmann et al., IEEE Trans. Med. Imaging 26, 2007), 23.628 for
    n = 7. Small angles keep the gradients of a scanner from large jumps, and are even from 2 n spokes on.

    Args:
        spokes: diameters per frame.
        samples: of a spoke, the zero frequency at samples // 2; None for the longer side of the image, which is enough
            for the field of view (Nyquist).
        tiny: n, the number of the tiny golden angle.

    Raises:
        ValueError: if there is not at least one spoke and one sample, or ``tiny`` is below 1.
    """

    tiny: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(1, tiny=self.tiny)

    def turns(self, frames: int) -> Tensor:
        """Return the angles of all spokes relative to the first, in half turns, (time, spokes), float64."""
        spokes = torch.arange(frames * self.spokes, dtype=torch.float64).reshape(frames, self.spokes)
        return spokes / (1 / GOLDEN + self.tiny - 1) % 1


@dataclass(frozen=True)
class UniformRadial(RadialSpokes):
    """Spokes at equal angles, turned by 0.618 (the golden ratio) of that angle from frame to frame.

    Any number of frames then covers k-space evenly.

    Args:
        spokes: diameters per frame.
        samples: of a spoke, the zero frequency at samples // 2; None for the longer side of the image, which is enough
            for the field of view (Nyquist).

    Raises:
        ValueError: if there is not at least one spoke and one sample.
    """

    def turns(self, frames: int) -> Tensor:
        """Return the angles of all spokes relative to the first, in half turns, (time, spokes), float64."""
        frame = torch.arange(frames, dtype=torch.float64)[:, None]
        return (torch.arange(self.spokes) + GOLDEN * frame) / self.spokes % 1
