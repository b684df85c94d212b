"""Randomly drawn organs of a short-axis view of the heart, at end diastole; lengths are in half fields of view."""

import math
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor

from datamodules.dynamic_mri.phantom.motion import Cycles, relax
from datamodules.dynamic_mri.phantom.tissue import Layer, Tissue, draw_texture, ellipse, sample_textures, union
from datamodules.dynamic_mri.simulation import uniform, unit

Signals = Mapping[str, Tensor]


class Heart:
    """Both ventricles and their fat, seen along the long axis.

    Args:
        signals: signal of each tissue.
        generator: draws position, size, orientation, contraction and texture.
    """

    def __init__(self, signals: Signals, generator: torch.Generator) -> None:
        between = partial(uniform, generator=generator)
        self.signals = signals
        self.centre = torch.complex(between(0, 0.25), between(-0.05, 0.15))
        self.to_right_ventricle = unit(math.pi + between(0, 1.1))
        self.epicardium = between(0.38, 0.47)
        self.endocardium = self.epicardium * between(0.6, 0.74)
        self.rv_depth = between(0.24, 0.34)
        self.rv_breadth = between(0.36, 0.46)
        self.rv_centre = self.epicardium - between(0.02, 0.1)
        angles = torch.stack([between(0.4, 0.8), between(1.1, 1.4)]) * math.pi
        self.papillary_muscles = torch.polar(self.endocardium * uniform(0.55, 0.75, generator, 2), angles)
        self.papillary_radii = self.endocardium * uniform(0.14, 0.24, generator, 2)
        self.strength = between(0.4, 0.85)
        self.fat = between(0, 0.06)
        self.to_fat = unit(between(0, 2 * math.pi))
        self.swirls = draw_texture(0.2, generator)[None]
        self.trabeculae = draw_texture(0.18, generator)[None]

    def relax(self, points: Tensor, contraction: Tensor) -> Tensor:
        """Undo the contraction of both ventricles."""
        right_ventricle = self.centre + self.to_right_ventricle * (self.rv_centre + 0.1)
        points = relax(points, right_ventricle, 0.8 * self.rv_depth, 0.5 * self.strength * contraction)
        return relax(points, self.centre, 0.95 * self.endocardium, self.strength * contraction)

    def layers(self, tissue: Tissue, cycles: Cycles) -> Iterator[Layer]:
        """Yield fat, right ventricle, left ventricle."""
        # In these coordinates the right ventricle is in the direction of the positive x axis.
        points = (tissue.points - self.centre) * self.to_right_ventricle.conj()
        left = points.abs() - self.epicardium
        right = ellipse(points, self.rv_centre, self.rv_depth, self.rv_breadth)
        outline = union(left, right - 0.045, 0.04)
        roughness = self._roughness(points, tissue, cycles) * (1 + self.strength * cycles.contraction)
        myocardium = self.signals["myocardium"] * (1 + 0.06 * tissue.mottle + 0.12 * tissue.grain)
        blood = self._blood(points, tissue, cycles)
        yield from self._fat(points, outline, tissue)
        yield Layer(outline, myocardium)
        bands = 0.1 * (tissue.coarse + 0.5 * tissue.mottle - 0.9).clamp(min=0) + 0.7 * roughness
        yield Layer(torch.maximum(right + bands, 0.02 - left), 0.92 * blood)
        yield Layer(left, myocardium)
        # The contracting wall squeezes out the blood between its trabeculae.
        squeezed = 0.06 * self.strength * cycles.contraction
        yield Layer(points.abs() - self.endocardium + roughness + squeezed, blood)
        for position, radius in zip(self.papillary_muscles, self.papillary_radii, strict=True):
            # A papillary muscle keeps its volume, while the cavity around it empties.
            size = radius * (1 + 0.4 * self.strength * cycles.contraction)
            yield Layer((points - position).abs() - size + roughness, myocardium)

    def _fat(self, points: Tensor, outline: Tensor, tissue: Tissue) -> Iterator[Layer]:
        fat = self.signals["fat"] * (0.9 + 0.06 * tissue.mottle + 0.05 * tissue.grain)
        direction = points / points.abs().clamp(min=1e-3)
        thickness = self.fat * (1 + (direction * self.to_fat).real) + 0.015 * tissue.coarse
        to_sternum = self.centre - 0.15 - 0.36j
        mediastinum = ellipse(tissue.points, to_sternum, 0.95 * self.epicardium, 1.5 * self.epicardium)
        yield Layer(mediastinum + 0.07 * tissue.coarse, 0.85 * fat * (1 + 0.1 * tissue.coarse))
        yield Layer(outline - thickness - 0.035, 0.8 * self.signals["muscle"])
        yield Layer(outline - thickness - 0.01, fat)

    def _roughness(self, points: Tensor, tissue: Tissue, cycles: Cycles) -> Tensor:
        radius = points.abs()
        # The texture is sampled on a ring, which stretches the trabeculae along the radius.
        ring = points * (0.35 / radius.clamp(min=1e-3) + 1.5)
        # The heart shortens through the image plane, which moves other trabeculae into view.
        ridges = sample_textures(self.trabeculae, ring + 0.15 * cycles.contraction)[0]
        return 0.012 * (ridges + 0.8 * tissue.mottle - 0.3)

    def _blood(self, points: Tensor, tissue: Tissue, cycles: Cycles) -> Tensor:
        swirl = sample_textures(self.swirls, points + cycles.blood_path)[0]
        magnitude = self.signals["blood"] * (1 + 0.1 * swirl + 0.03 * tissue.grain)
        return magnitude * unit(cycles.flow * (1.5 + 0.5 * swirl))


class Abdomen:
    """Lungs, and below the diaphragm liver, stomach and descending aorta.

    Args:
        heart: on the diaphragm.
        signals: signal of each tissue.
        generator: draws position, size and texture.
    """

    def __init__(self, heart: Heart, signals: Signals, generator: torch.Generator) -> None:
        between = partial(uniform, generator=generator)
        self.signals = signals
        self.diaphragm = heart.centre.imag + heart.epicardium + between(-0.06, 0.08)
        self.liver_edge = heart.centre.real + between(-0.25, 0.3)
        self.fullness = between(0.6, 2.5)
        self.aorta = torch.complex(between(0.1, 0.8), between(0.75, 0.95))
        self.aorta_radius = between(0.07, 0.11)

    def layers(self, tissue: Tissue, cycles: Cycles) -> Iterator[Layer]:
        """Yield the layers from back to front."""
        yield from self._lungs(tissue)
        below_diaphragm = tissue.points.imag - self.diaphragm
        dome = 0.25 * (tissue.points.real - self.liver_edge + 0.5) ** 2 - below_diaphragm
        beyond_liver = tissue.points.real - self.liver_edge - 0.3 * below_diaphragm
        yield from self._stomach(torch.maximum(dome + 0.06, 0.08 - beyond_liver), tissue)
        yield from self._liver(torch.maximum(dome, beyond_liver), tissue)
        aorta = (tissue.points - self.aorta).abs() - self.aorta_radius
        yield Layer(aorta - 0.03, self.signals["muscle"])
        yield Layer(aorta, self.signals["blood"] * (0.95 + 0.05 * tissue.mottle) * unit(-2 * cycles.flow))

    def _lungs(self, tissue: Tissue) -> Iterator[Layer]:
        everywhere = torch.full_like(tissue.mottle, -1)
        yield Layer(everywhere, self.signals["lung"] * (1 + 0.3 * tissue.mottle + 0.4 * tissue.grain))
        yield Layer(0.02 * (2.6 - tissue.mottle - 0.6 * tissue.coarse), 0.6 * self.signals["blood"])

    def _stomach(self, level: Tensor, tissue: Tissue) -> Iterator[Layer]:
        content = 1 + 0.25 * tissue.coarse + 0.15 * tissue.mottle + 0.1 * tissue.grain
        yield Layer(level - 0.03, 0.8 * self.signals["fat"])
        yield Layer(level, self.signals["stomach"] * self.fullness * content)

    def _liver(self, level: Tensor, tissue: Tissue) -> Iterator[Layer]:
        yield Layer(level, self.signals["liver"] * (1 + 0.05 * tissue.mottle + 0.08 * tissue.grain))
        vessels = 0.02 * (1.9 - tissue.coarse - 0.6 * tissue.mottle)
        yield Layer(torch.maximum(vessels, level + 0.05), 0.75 * self.signals["blood"])


class ChestWall:
    """Muscle, ribs, subcutaneous fat, and the air around them.

    Args:
        signals: signal of each tissue.
        generator: draws position, thickness and texture.
    """

    def __init__(self, signals: Signals, generator: torch.Generator) -> None:
        between = partial(uniform, generator=generator)
        self.signals = signals
        self.tilt = unit(between(-0.3, 0.6))
        self.breadth = between(1.8, 2.4)
        self.height = 0.9 + between(0.5, 0.68)
        self.muscle = between(0.14, 0.26)
        self.fat = between(0.08, 0.25)
        self.rib_spacing = between(0.5, 0.7)
        self.first_rib = between(0, 1)

    def layers(self, tissue: Tissue) -> Iterator[Layer]:
        """Yield the layers from the pleura outwards."""
        points = tissue.points * self.tilt
        depth = ellipse(points, 0.9j, self.breadth, self.height)
        fat = self.signals["fat"] * (1 + 0.05 * tissue.mottle + 0.03 * tissue.grain)
        yield Layer(-depth - 0.03, 0.8 * fat)
        yield Layer(-depth, self.signals["muscle"] * (1 + 0.2 * tissue.mottle + 0.1 * tissue.grain))
        streaks = 0.05 * (1.2 - tissue.coarse - 0.5 * tissue.mottle)
        yield Layer(torch.maximum(0.02 - depth, streaks), 0.8 * fat)
        yield from self._ribs(points.real, depth, tissue)
        yield Layer(self.muscle - depth, fat)
        yield Layer(self.muscle + self.fat - depth, torch.zeros_like(self.fat))

    def _ribs(self, along: Tensor, depth: Tensor, tissue: Tissue) -> Iterator[Layer]:
        to_nearest = ((along / self.rib_spacing + self.first_rib) % 1 - 0.5) * self.rib_spacing
        rib = torch.hypot(to_nearest / 1.6, depth - 0.4 * self.muscle) - 0.3 * self.muscle
        yield Layer(rib - 0.02, self.signals["bone"])
        yield Layer(rib, self.signals["marrow"] * (1 + 0.15 * tissue.mottle + 0.1 * tissue.grain))
