"""Motion by heartbeat and breathing, as the map from pixels to the tissue at rest."""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.dynamic_mri.simulation import uniform, unit


class Cycles(NamedTuple):
    """Heartbeat, breathing and blood flow at each frame.

    Attributes:
        contraction: 0 at end diastole, 1 at end systole, (time, 1, 1), float32.
        breathing: displacement of the diaphragm, (time, 1, 1), float32, in half fields of view.
        flow: inflow of the left ventricle, negative in systole, (time, 1, 1), float32, at most about 0.25.
        blood_path: distance that blood has moved, (time, 1, 1), float32, in half fields of view.
    """

    contraction: Tensor
    breathing: Tensor
    flow: Tensor
    blood_path: Tensor


def draw_cycles(frames: int, generator: torch.Generator) -> Cycles:
    """Draw one to two heartbeats during a part of a breath."""
    time = torch.arange(frames, device=generator.device)[:, None, None] / frames
    beats = uniform(1, 2, generator)
    start = uniform(0, 1, generator)
    contraction = contraction_curve(beats * time + start)
    flow = contraction - contraction_curve(beats * time + start + 0.05)
    breath = unit(2 * math.pi * (uniform(0.25, 0.5, generator) * time + uniform(0, 1, generator))).real
    blood_path = 20 / frames * flow.abs().cumsum(0)
    return Cycles(contraction, uniform(0, 0.08, generator) * breath, flow, blood_path)


def contraction_curve(phase: Tensor) -> Tensor:
    """Return the share of the stroke volume that is ejected at a phase of the heartbeat, 0 at the R wave.

    The beat has ejection (a third of it), early filling, diastasis and atrial kick.
    """
    phase = phase % 1
    ejection, early_filling = _ramp(phase, 0.02, 0.36), _ramp(phase, 0.42, 0.66)
    diastasis, atrial_kick = _ramp(phase, 0.6, 0.86), _ramp(phase, 0.84, 1)
    return ejection - 0.72 * early_filling - 0.06 * diastasis - 0.22 * atrial_kick


def _ramp(phase: Tensor, start: float, end: float) -> Tensor:
    return (1 - torch.cos(math.pi * ((phase - start) / (end - start)).clamp(0, 1))) / 2


def relax(points: Tensor, centre: Tensor, radius: Tensor, strength: Tensor) -> Tensor:
    """Undo a contraction: map points of a contracted ventricle to their positions at end diastole.

    Points well within the radius move outwards by the factor 1 + strength; the displacement decays beyond it, so that a
    wall there is thicker in the contracted ventricle, and the tissue around it hardly moves. The map is one-to-one for
    a strength below 1.7.

    Args:
        points: x + i y, complex64, any shape that broadcasts with the others.
        centre: of the ventricle, complex64.
        radius: at which the displacement has decayed to half.
        strength: 0 for no contraction.
    """
    offset = points - centre
    twist = 0.15 * strength
    decay = 1 / (1 + (offset.abs() / radius) ** 4)
    return centre + offset * (1 + strength * decay) * unit(twist * decay)


def exhale(points: Tensor, breathing: Tensor, diaphragm: Tensor) -> Tensor:
    """Undo breathing: shift points by the full displacement at the diaphragm (its y, downwards), by less elsewhere.

    The chest wall rises by a fraction of the descent of the diaphragm.
    """
    share = torch.exp(-(((points.imag - diaphragm) / 0.8) ** 2))
    return points - 1j * breathing * (1.2 * share - 0.2)
