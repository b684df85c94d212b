"""A beating heart of ellipses, whose k-space is known without a discrete transform."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from datamodules.dynamic_mri.phantom.ellipses import Ellipses
from datamodules.dynamic_mri.phantom.motion import draw_cycles
from datamodules.dynamic_mri.phantom.tissue import draw_signals
from datamodules.dynamic_mri.simulation import uniform

# Lengths in shorter sides of the image; the first coordinate points down.
SKIN, MUSCLE, LUNG = (0.41, 0.47), (0.37, 0.43), (0.3, 0.37)  # semi-axes of the chest
RIBS = 10
LEFT = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)  # angles of vessels in the left lung, from below
GAP = 0.005  # between the wall of a cavity and what it holds


class _Chest:
    """Ellipses of tissues, each within one of another tissue, with the difference of both signals.

    Args:
        signals: of the tissues.
        frames: number of frames.
    """

    def __init__(self, signals: Mapping[str, complex], frames: int) -> None:
        self.signals, self.frames = {"air": 0j, **signals}, frames
        self.parts: list[Ellipses] = []

    def add(self, tissue: str, within: str, center: Tensor, axes: Tensor) -> None:
        """Add ellipses.

        Args:
            tissue: its name.
            within: name of the tissue around it.
            center: (time or 1, 2).
            axes: (time or 1, 2, 2), see :class:`Ellipses`.
        """
        signal = torch.tensor(self.signals[tissue] - self.signals[within], dtype=torch.complex128)
        self.parts.append(
            Ellipses(
                center.double().expand(self.frames, 2)[:, None],
                axes.double().expand(self.frames, 2, 2)[:, None],
                signal.expand(self.frames, 1),
            )
        )


def elliptic_heart(shape: tuple[int, int, int], generator: torch.Generator) -> Ellipses:
    """Draw a chest with a beating heart: one to two beats, during a part of a breath.

    It is simpler than :func:`beating_heart` and has no texture.

    Args:
        shape: (time, height, width); the chest fills the shorter side.
        generator: the same state gives the same heart.

    Returns:
        The ellipses; the largest signal of a tissue is 1.
    """
    frames, height, width = shape
    cycles = draw_cycles(frames, generator)
    signals = {tissue: complex(signal) for tissue, signal in draw_signals(generator).items()}
    chest = _Chest(signals, frames)
    breath = torch.cat([0.4 * cycles.breathing[:, 0], torch.zeros(frames, 1)], dim=1)
    _add_wall(chest, generator)
    _add_vessels(chest, breath, generator)
    _add_heart(chest, breath, cycles.contraction[:, 0, 0], generator)
    found = Ellipses.cat(chest.parts)
    side = min(height, width) / torch.tensor([height, width], dtype=torch.float64)
    brightest = max(map(abs, signals.values()))
    return Ellipses(found.center * side, found.axes * side[:, None], found.signal / brightest)


def _add_wall(chest: _Chest, generator: torch.Generator) -> None:
    middle = torch.zeros(1, 2)
    for tissue, within, axes in (("fat", "air", SKIN), ("muscle", "fat", MUSCLE), ("lung", "muscle", LUNG)):
        chest.add(tissue, within, middle, torch.diag(torch.tensor(axes))[None])
    ring = (torch.tensor(MUSCLE) + torch.tensor(LUNG)) / 2
    first = uniform(0, 2 * math.pi, generator)
    for rib in range(RIBS):
        turn = _turn(first + 2 * math.pi * rib / RIBS)
        chest.add("marrow", "muscle", (turn[:, 0] * ring)[None], (turn @ torch.diag(torch.tensor([0.014, 0.04])))[None])


def _add_vessels(chest: _Chest, breath: Tensor, generator: torch.Generator) -> None:
    for angle in (*LEFT, *(-angle for angle in LEFT)):
        outwards = _turn(torch.tensor(angle))[:, 0] * torch.tensor(LUNG)
        place = uniform(0.75, 0.9, generator) * outwards
        radius = uniform(0.003, 0.012, generator)
        chest.add("blood", "lung", place + breath / 2, (radius * torch.eye(2))[None])


def _add_heart(chest: _Chest, breath: Tensor, contraction: Tensor, generator: torch.Generator) -> None:
    """Add both ventricles: circles before the heart is stretched. The wall of the left one keeps its area."""
    strength = uniform(0.3, 0.5, generator) * contraction
    cavity = uniform(0.075, 0.09, generator) * (1 - strength)
    wall = uniform(0.035, 0.045, generator)
    left = (cavity.square() + wall * (wall + 2 * cavity.max())).sqrt()
    shift = uniform(0.04, 0.055, generator) * (1 - strength)
    right = left + shift + GAP
    place = breath + torch.stack([uniform(-0.02, 0.02, generator), uniform(0.03, 0.06, generator)])
    to_right = _turn(uniform(-2.2, -1.2, generator))[:, 0]
    stretch = _turn(uniform(0, math.pi, generator)) @ torch.diag(torch.tensor([1.06, 0.94]))

    def add(tissue: str, within: str, center: Tensor, radius: Tensor) -> None:
        chest.add(tissue, within, place + center @ stretch.T, radius[:, None, None] * stretch)

    beside = shift[:, None] * to_right
    add("fat", "lung", beside, right + 0.035)
    add("myocardium", "fat", beside, right + 0.015)
    add("blood", "myocardium", beside, right)
    add("myocardium", "blood", torch.zeros(1, 2), left)
    add("blood", "myocardium", torch.zeros(1, 2), cavity)
    for angle in (0.6, 1.9):
        muscle = _turn(torch.tensor(angle) + 0.2 * strength)[..., 0]
        add("myocardium", "blood", (0.62 * cavity)[:, None] * muscle, 0.2 * cavity.max() * (1 - 0.3 * strength))


def _turn(angle: Tensor) -> Tensor:
    """Return the rotation by angles (...), (..., 2, 2)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
