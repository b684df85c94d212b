"""A simulated ultrasound series: bubbles that flow through vessels, below the clutter of slowly moving tissue."""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

RANK = 4  # of the tissue
DECAY = 0.3  # amplitude of each of its modes, relative to the one before
SPECKLE = 2  # pixels between independent values of speckle
SLOWEST, FASTEST = 0.3, 1.5  # cycles of a mode of the tissue in a series
PULSE = 0.9  # pixels, standard deviation of the image of a point
BUBBLES = 0.012  # a pixel of a vessel
WIDTH = (1.5, 3.5)  # pixels, half of a vessel's
SPEED = (0.3, 1.2)  # pixels a frame, in the middle of a vessel
DOPPLER = (0.08, 0.3)  # cycles a frame


def draw_ultrasound(
    size: tuple[int, int, int], vessels: int, clutter: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Draw the tissue and the blood of a series after demodulation.

    Tissue is a sum of few speckle images, each with a slow course of its own in time, so that its Casorati matrix has
    a low rank; blood is bubbles, points that flow along vessels with a parabolic profile and a Doppler frequency in
    proportion, as after the injection of microbubbles.

    Args:
        size: time, height and width.
        vessels: their number.
        clutter: power of the tissue over that of the blood where it is bright, dB.
        generator: the source of all randomness.

    Returns:
        The tissue and the blood, each (time, height, width), complex64; the mean power of the tissue is 1.
    """
    tissue = _tissue(size, generator)
    blood = sum((_vessel(size, generator) for _ in range(vessels)), start=torch.zeros(size, dtype=torch.complex64))
    return tissue / tissue.abs().square().mean().sqrt(), blood * 10 ** (-clutter / 20)


def _tissue(size: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    time, height, width = size
    coarse = [side // SPECKLE + 2 for side in (height, width)]
    real, imaginary = torch.randn(2, RANK, *coarse, generator=generator)
    speckle = torch.complex(_enlarged(real, (height, width)), _enlarged(imaginary, (height, width)))
    cycles = SLOWEST + (FASTEST - SLOWEST) * torch.rand(RANK, 1, generator=generator)
    phase = torch.rand(RANK, 1, generator=generator)
    course = torch.exp(2j * math.pi * (phase + cycles * torch.linspace(0, 1, time)))
    course[0] = 1 + 0.2 * course[0]  # the largest part of tissue hardly moves
    amplitude = DECAY ** torch.arange(RANK)
    return torch.einsum("r,rt,rhw->thw", amplitude.to(course.dtype), course, speckle)


def _enlarged(images: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(images[None], size, mode="bicubic", align_corners=True)[0]


def _vessel(size: tuple[int, int, int], generator: torch.Generator) -> Tensor:
    """Draw the bubbles of a straight vessel through the image, each of a magnitude of about 1."""
    time, height, width = size

    def uniform(limits: tuple[float, float], *shape: int) -> Tensor:
        return limits[0] + (limits[1] - limits[0]) * torch.rand(shape, generator=generator)

    angle = uniform((0, 2 * math.pi))
    along = torch.stack([angle.sin(), angle.cos()])
    across = torch.stack([along[1], -along[0]])
    middle = torch.stack([uniform((0.2, 0.8)) * side for side in (height, width)])
    half_width, speed, doppler = uniform(WIDTH), uniform(SPEED), uniform(DOPPLER)
    length = math.hypot(height, width) + float(speed) * time
    bubbles = max(1, round(BUBBLES * length * 2 * float(half_width)))
    offset = uniform((-1, 1), bubbles)
    velocity = 1 - offset.square()
    course = uniform((-length / 2, length / 2), bubbles) + speed * velocity * torch.arange(time)[:, None]
    places = middle + course[..., None] * along + (half_width * offset)[:, None] * across
    phase = uniform((0, 1), bubbles) + doppler * velocity * torch.arange(time)[:, None]
    amplitude = uniform((0.5, 1.0), bubbles) * torch.exp(2j * math.pi * phase)
    rows, columns = (
        torch.exp(-(torch.arange(side) - places[..., axis, None]).square() / (2 * PULSE**2))
        for axis, side in enumerate((height, width))
    )
    return torch.einsum("tb,tbh,tbw->thw", amplitude, rows.to(amplitude.dtype), columns.to(amplitude.dtype))
