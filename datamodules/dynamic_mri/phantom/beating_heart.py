"""A synthetic cine of a beating heart, for demonstrations and tests without patients' data."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from datamodules.dynamic_mri.phantom.anatomy import Abdomen, ChestWall, Heart
from datamodules.dynamic_mri.phantom.motion import Cycles, draw_cycles, exhale
from datamodules.dynamic_mri.phantom.tissue import Layer, Tissue, draw_signals, draw_texture, sample_textures
from datamodules.dynamic_mri.simulation import pixel_coordinates, smooth_field, smooth_phase, unit

# Wavelengths of coarse, mottle and grain, in half fields of view.
TEXTURES = (0.3, 0.12, 0.05)
# Wavelength and amplitude of the deviations of outlines from circles and ellipses.
IRREGULARITIES = ((1.2, 0.022), (0.4, 0.006), (0.15, 0.0025))


def beating_heart(shape: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Draw a balanced SSFP cine of the heart in short-axis view: one to two beats, during a part of a breath.

    Anatomy, contrast, texture, motion, receive gain and phase are random. Texture moves with the tissue.

    Args:
        shape: (time, height, width); the shorter side of the image is about two and a half left ventricles wide.
        generator: the same state gives the same cine.

    Returns:
        The cine, of the given shape, complex64, largest magnitude 1, on the generator's device.
    """
    frames, height, width = shape
    cycles = draw_cycles(frames, generator)
    pixels = pixel_coordinates(height, width, generator.device)
    layers = _thorax(pixels, cycles, generator)
    image = _point_spread(_paint(layers, edge=0.9 / min(height, width)))
    receive_gain = torch.exp(0.15 * smooth_field(height, width, generator) - 0.35 * pixels.imag)
    breathing_phase = unit(3 * cycles.breathing * smooth_field(height, width, generator))
    cine = image * receive_gain * smooth_phase(height, width, generator) * breathing_phase
    return cine / cine.abs().amax()


def _thorax(pixels: Tensor, cycles: Cycles, generator: torch.Generator) -> Iterator[Layer]:
    signals = draw_signals(generator)
    heart = Heart(signals, generator)
    abdomen = Abdomen(heart, signals, generator)
    chest_wall = ChestWall(signals, generator)
    body = exhale(pixels, cycles.breathing, abdomen.diaphragm)
    tissue = _tissue(heart.relax(body, cycles.contraction), generator)
    yield from abdomen.layers(tissue, cycles)
    yield from heart.layers(tissue, cycles)
    yield from chest_wall.layers(tissue)


def _tissue(points: Tensor, generator: torch.Generator) -> Tissue:
    fields = [_irregularity(generator), _irregularity(generator)]
    fields += [draw_texture(wavelength, generator) for wavelength in TEXTURES]
    x, y, coarse, mottle, grain = sample_textures(torch.stack(fields), points)
    return Tissue(points + torch.complex(x, y), coarse, mottle, grain)


def _irregularity(generator: torch.Generator) -> Tensor:
    scales = [amplitude * draw_texture(wavelength, generator) for wavelength, amplitude in IRREGULARITIES]
    return torch.stack(scales).sum(0)


def _paint(layers: Iterable[Layer], edge: float) -> Tensor:
    image = torch.zeros(())
    for level, signal in layers:
        # Signals mix within a pixel, so that fat and water cancel along their border.
        image = image + torch.sigmoid(-level / edge) * (signal - image)
    return image


def _point_spread(image: Tensor) -> Tensor:
    # An image of sampled k-space is periodic, hence roll.
    for dim in (-2, -1):
        image = 0.6 * image + 0.2 * (image.roll(1, dim) + image.roll(-1, dim))
    return image
