"""Ellipses, whose k-space is known in closed form at any trajectory."""

import math
from typing import NamedTuple, Self

import torch
from scipy.special import j1
from torch import Tensor

from datamodules.dynamic_mri.phantom.fourier_coils import UNIFORM, FourierCoils, unit_phase
from lowrank_unroll.operators import Fourier


class Ellipses(NamedTuple):
    """Moving ellipses of uniform signal; where they overlap, signals add.

    An ellipse is the image ``center + axes u`` of the unit disk, ``|u| <= 1``. Coordinates are (height, width) in
    fields of view; the origin is the pixel n // 2 of n, as in :class:`Fourier`.

    Attributes:
        center: (time, ellipse, 2), float64.
        axes: (time, ellipse, 2, 2), float64; its columns are conjugate semi-axes.
        signal: (time, ellipse), complex128.
    """

    center: Tensor
    axes: Tensor
    signal: Tensor

    @classmethod
    def cat(cls, parts: list[Self]) -> Self:
        """Join ellipses along their dim."""
        return cls._make(torch.cat(field, dim=1) for field in zip(*parts, strict=True))

    def kspace(self, trajectory: Tensor, shape: tuple[int, int], coils: FourierCoils = UNIFORM) -> Tensor:
        """Return k-space as coils measure it, in the scaling of :class:`Fourier` for images of a shape.

        The Fourier transform of an ellipse is ``|det axes| exp(-2 pi i k center) J1(2 pi q) / q`` with ``q =
        |axes^T k|`` (Van de Walle et al., IEEE Trans. Med. Imaging 16, 1997). A term of a coil's sensitivity
        shifts it by the term's frequency (Guerquin-Kern et al., IEEE Trans. Med. Imaging 31, 2012). The
        orthonormal transform is the sum over pixels, which is their number times the integral, divided by the
        root of that number.

        Args:
            trajectory: k in cycles per field of view, (time or 1, samples, 2).
            shape: height and width in pixels.
            coils: a single one of sensitivity 1 if not given.

        Returns:
            (coil, time, samples), complex64.
        """
        frames, samples = len(self.signal), trajectory.shape[1]
        kspace = torch.empty(len(coils.coefficients), frames, samples, dtype=torch.complex64)
        for frame, k in enumerate(trajectory.double().expand(frames, samples, 2)):
            kspace[:, frame] = math.sqrt(math.prod(shape)) * self._transform(frame, k, coils)
        return kspace

    def _transform(self, frame: int, k: Tensor, coils: FourierCoils) -> Tensor:
        """Return the Fourier transform of a frame times the sensitivities, (coil, samples), complex128."""
        total = torch.zeros(len(coils.coefficients), len(k), dtype=torch.complex128)
        for center, axes, signal in zip(self.center[frame], self.axes[frame], self.signal[frame], strict=True):
            height, width = ((k @ axes).T[:, None] - (coils.frequencies @ axes).T[:, :, None]).unbind()
            transforms = axes.det().abs() * _jinc(torch.hypot(height, width))
            at_center = coils.coefficients * unit_phase(coils.frequencies @ center)
            mixed = torch.complex(at_center.real @ transforms, at_center.imag @ transforms)
            total += signal * unit_phase(-k @ center) * mixed
        return total

    def image(self, shape: tuple[int, int]) -> Tensor:
        """Return the band-limited image, (time, height, width), complex64: that of the samples of Cartesian k-space.

        It is what can be reconstructed at this size; its edges ring.
        """
        return Fourier().adjoint(self.kspace(cartesian_trajectory(shape), shape).reshape(-1, *shape))


def cartesian_trajectory(shape: tuple[int, int]) -> Tensor:
    """Return the samples of a Cartesian k-space, (1, height x width, 2), float64, in cycles per field of view."""
    sides = [torch.arange(side, dtype=torch.float64) - side // 2 for side in shape]
    return torch.cartesian_prod(*sides)[None]


def _jinc(q: Tensor) -> Tensor:
    """Return J1(2 pi q) / q, which is pi at 0."""
    nonzero = q.clamp(min=1e-9)
    # torch.special.bessel_j1 has errors of 5e-7 for arguments from 5 to 14.
    return torch.from_numpy(j1((2 * math.pi * nonzero).numpy())) / nonzero
