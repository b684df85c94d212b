"""Signal, texture and outline of tissues."""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

from datamodules.dynamic_mri.simulation import uniform

# Proton density relative to water, T1 and T2 in ms, approximately at 1.5 T.
RELAXATION = {
    "lung": (0.07, 1200, 50),
    "myocardium": (0.8, 1000, 50),
    "muscle": (0.75, 1000, 42),
    "blood": (0.95, 1500, 220),
    "liver": (0.8, 600, 46),
    "fat": (0.8, 280, 75),
    "marrow": (0.4, 500, 60),
    "bone": (0.1, 1000, 40),
    "stomach": (0.6, 1200, 100),
}
# Half the side of a texture, in half fields of view; beyond it the texture is mirrored.
EXTENT = 1.6


class Tissue(NamedTuple):
    """The tissue at each pixel, all (time, height, width).

    Attributes:
        points: its position at rest, x + i y in half fields of view, complex64.
        coarse: random texture of a long wavelength that moves with the tissue, unit variance, float32.
        mottle: the same of a medium wavelength.
        grain: the same of a short wavelength.
    """

    points: Tensor
    coarse: Tensor
    mottle: Tensor
    grain: Tensor


class Layer(NamedTuple):
    """A tissue, painted over the layers before it; both fields broadcast with (time, height, width).

    Attributes:
        level: approximate distance to its outline in half fields of view, negative inside, float32.
        signal: transverse magnetisation, float32 or complex64.
    """

    level: Tensor
    signal: Tensor


def draw_signals(generator: torch.Generator) -> Mapping[str, Tensor]:
    """Draw the signal of each tissue for a random flip angle; blood is brighter, since fresh spins flow in."""
    flip_angle = uniform(0.8, 1.15, generator)
    signals = {tissue: bssfp_signal(tissue, flip_angle) * uniform(0.85, 1.15, generator) for tissue in RELAXATION}
    return signals | {"blood": signals["blood"] * uniform(1.1, 1.6, generator)}


def bssfp_signal(tissue: str, flip_angle: Tensor) -> Tensor:
    """Return the signal of balanced steady-state free precession (short repetition time), negative for fat.

    It is M0 sin(a) / (1 + cos(a) + (1 - cos(a)) T1 / T2): Scheffler and Lehnhardt, "Principles and applications of
    balanced SSFP techniques", European Radiology 13, 2003. Fat is opposed in phase to water, hence the black lines
    between them: Hargreaves et al., "Fat-suppressed steady-state free precession imaging using phase detection",
    Magnetic Resonance in Medicine 50, 2003.

    Args:
        tissue: a name in ``RELAXATION``.
        flip_angle: a, in radians.
    """
    density, T1, T2 = RELAXATION[tissue]
    cosine = torch.cos(flip_angle)
    signal = density * torch.sin(flip_angle) / (1 + cosine + (1 - cosine) * T1 / T2)
    return -signal if tissue == "fat" else signal


def draw_texture(wavelength: float, generator: torch.Generator, pixels: int = 256) -> Tensor:
    """Draw a field of unit variance, (pixels, pixels), float32; the wavelength is in half fields of view."""
    frequency = torch.fft.fftfreq(pixels, d=2 * EXTENT / pixels, device=generator.device)
    octaves = (torch.hypot(frequency[:, None], frequency) * wavelength).clamp(min=1e-3).log2()
    noise = torch.randn(pixels, pixels, generator=generator, device=generator.device)
    field = torch.fft.ifft2(torch.fft.fft2(noise) * torch.exp(-1.3 * octaves**2)).real
    return torch.div(field, field.std())


def sample_textures(textures: Tensor, points: Tensor) -> Tensor:
    """Sample textures (texture, pixels, pixels) at points (time, height, width): (texture, time, height, width)."""
    grid = torch.view_as_real(points.reshape(1, -1, points.shape[-1]) / EXTENT)
    values = grid_sample(textures[None], grid, padding_mode="reflection", align_corners=True)
    return values.reshape(-1, *points.shape)


def ellipse(points: Tensor, centre: Tensor | complex, horizontal: Tensor, vertical: Tensor) -> Tensor:
    """Return the level of an ellipse with the given semi-axes."""
    offset = points - centre
    scaled = torch.complex(offset.real / horizontal, offset.imag / vertical)
    return (scaled.abs() - 1) * torch.minimum(horizontal, vertical)


def union(first: Tensor, second: Tensor, radius: float) -> Tensor:
    """Return the level of the union of two regions, whose notch is rounded to about the radius."""
    return -radius * torch.logaddexp(-first / radius, -second / radius)
