"""Simulated coil sensitivities, phase and noise of MRI."""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from lowrank_unroll.checks import check_at_least, check_positive

SEGMENTS = 24


def coil_sensitivities(coils: int, height: int, width: int, generator: torch.Generator) -> Tensor:
    """Simulate the sensitivities of receive loops around the body, facing its axis.

    The sensitivity of a loop is B_x - i B_y of the magnetic field of a current in it, by the law of Biot and Savart, as
    in Guerquin-Kern et al., "Realistic analytical phantoms for parallel magnetic resonance imaging", IEEE Transactions
    on Medical Imaging 31, 2012. Angle, distance and phase of each loop are drawn. They are divided by their root sum of
    squares (Roemer et al., "The NMR phased array", Magnetic Resonance in Medicine 16, 1990): sum |C|^2 is 1 everywhere.

    Args:
        coils: number of loops; one gives ones.
        height: pixels.
        width: pixels.
        generator: the same state gives the same coils.

    Returns:
        C, (coil, 1, height, width), complex64, on the generator's device.

    Raises:
        ValueError: if there is no coil.
    """
    check_at_least(1, coils=coils)
    if coils == 1:
        return torch.ones(1, 1, height, width, dtype=torch.complex64, device=generator.device)
    pixels = pixel_coordinates(height, width, generator.device) * (min(height, width) / max(height, width))
    neighbours = 2 * math.pi * torch.arange(coils, device=generator.device)[:, None, None] / coils
    direction = unit(neighbours + uniform(-0.3, 0.3, generator, coils, 1, 1))
    # The corners of the image are sqrt(2) from its centre: nearer than any wire, where the field is infinite.
    distance = uniform(1.5, 1.8, generator, coils, 1, 1)
    radius = min(0.9, 4 / coils + 0.2)
    field = _loop_field(pixels * direction.conj() - distance, radius) * direction
    sensitivities = unit(uniform(0, 2 * math.pi, generator, coils, 1, 1)) * field.conj()
    return (sensitivities / squared_magnitude(sensitivities).sum(0).sqrt())[:, None]


def _loop_field(offset: Tensor, radius: float) -> Tensor:
    """Return B_x + i B_y, up to a factor, at in-plane offsets from the centre of a loop whose axis is the x axis."""
    field = torch.zeros_like(offset)
    # Wire elements above and below the plane contribute equally, so half the loop suffices.
    for segment in range(SEGMENTS):
        angle = math.pi * (segment + 0.5) / SEGMENTS
        separation = offset - 1j * radius * math.cos(angle)
        squared_distance = squared_magnitude(separation) + (radius * math.sin(angle)) ** 2
        cubed_distance = squared_distance * squared_distance.sqrt()
        field += (1j * math.cos(angle) * separation + radius * math.sin(angle) ** 2) / cubed_distance
    return field


def smooth_phase(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Draw a phase for a series of magnitudes: a quadratic polynomial plus a smooth random field.

    Args:
        height: pixels.
        width: pixels.
        generator: the same state gives the same phase.

    Returns:
        exp(i phase), (height, width), complex64, unit modulus, on the generator's device.
    """
    pixels = pixel_coordinates(height, width, generator.device)
    x, y = pixels.real, pixels.imag
    polynomial = torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y])
    coefficients = torch.randn(6, 1, 1, generator=generator, device=generator.device)
    phase = (coefficients * polynomial).sum(0) + 0.5 * smooth_field(height, width, generator)
    return unit(phase)


def smooth_field(height: int, width: int, generator: torch.Generator, cells: int = 4) -> Tensor:
    """Draw a field of about unit variance, (height, width), float32, that varies over a ``cells``-th of each side."""
    grid = torch.randn(1, 1, cells + 1, cells + 1, generator=generator, device=generator.device)
    return interpolate(grid, (height, width), mode="bicubic", align_corners=True)[0, 0]


def add_noise(
    kspace: Tensor,
    snr: float,
    generator: torch.Generator,
    coil_images: Tensor | None = None,
) -> Tensor:
    """Add complex white Gaussian noise, independent between coils.

    With sigma the standard deviation of the real part of the noise, and likewise of the imaginary part, of a value,

        SNR = root mean square of the image's magnitude / sigma,

    the mean over all pixels and times. The transform is orthonormal and sum ``|C|^2`` = 1, so by Parseval the mean
    square is that of the k-space, summed over coils, and sigma is also the noise of a coil-combined image: this is SNR
    in the units of Kellman and McVeigh, "Image reconstruction in SNR units", Magnetic Resonance in Medicine 54, 2005.

    Args:
        kspace: (coil, time, ...), complex64; fully sampled on a Cartesian grid, unless ``coil_images`` are given.
        snr: a ratio of amplitudes, not decibels.
        generator: the same state gives the same noise; on the device of ``kspace``.
        coil_images: that were measured, (coil, time, height, width).

    Returns:
        The noisy k-space, shape and dtype of ``kspace``.

    Raises:
        ValueError: if the ratio is not positive and finite.
    """
    check_positive(snr=snr)
    signal = kspace if coil_images is None else coil_images
    sigma = squared_magnitude(signal).sum(0).mean().sqrt() / snr
    # A complex normal number of torch has variance 1, 1/2 in each part.
    noise = torch.randn(kspace.shape, dtype=kspace.dtype, generator=generator, device=kspace.device)
    return kspace + math.sqrt(2) * sigma * noise


def pixel_coordinates(height: int, width: int, device: torch.device) -> Tensor:
    """Return x + i y of the pixel centers, (height, width), complex64, y downwards; the shorter side spans [-1, 1]."""
    y, x = (
        (2 * torch.arange(side, dtype=torch.float32, device=device) - side + 1) / min(height, width)
        for side in (height, width)
    )
    return torch.complex(x.expand(height, width), y[:, None].expand(height, width))


def squared_magnitude(values: Tensor) -> Tensor:
    """Return |z|^2, in a quarter of the time of ``abs``, which takes a root."""
    return values.real.square() + values.imag.square()


def unit(phase: Tensor) -> Tensor:
    """Return exp(i phase)."""
    return torch.polar(torch.ones_like(phase), phase)


def uniform(low: float, high: float, generator: torch.Generator, *shape: int) -> Tensor:
    """Draw numbers in [low, high), float32, of the given shape."""
    return low + (high - low) * torch.rand(shape, generator=generator, device=generator.device)
