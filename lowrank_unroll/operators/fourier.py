"""The Fourier transform from images to k-space, as acquisitions order it and as it is fast."""

import torch
from torch import Tensor

from lowrank_unroll.operators.linear_operator import Composition, LinearOperator
from lowrank_unroll.operators.mask import Mask

IMAGE_DIMS = (-2, -1)


class Fourier(LinearOperator):
    """The centred, orthonormal Fourier transform over the last two dims.

    The zero frequency of a side of n pixels, and the origin of the image, are at index n // 2.
    """

    partial_isometry = True
    unitary = True

    def forward(self, image: Tensor) -> Tensor:
        """K-space of an image (..., height, width), same shape, complex."""
        shifted = torch.fft.ifftshift(image, dim=IMAGE_DIMS)
        kspace: Tensor = torch.fft.fftshift(torch.fft.fft2(shifted, norm="ortho"), dim=IMAGE_DIMS)
        return kspace

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Image of a k-space (..., height, width), same shape, complex: the inverse transform."""
        shifted = torch.fft.ifftshift(measurement, dim=IMAGE_DIMS)
        image: Tensor = torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), dim=IMAGE_DIMS)
        return image


class UncentredFourier(LinearOperator):
    """The orthonormal Fourier transform over the last two dims, zero frequency and origin of the image at index 0.

    It is what a fast Fourier transform computes, without the shifts of :class:`Fourier`.
    """

    partial_isometry = True
    unitary = True

    def forward(self, image: Tensor) -> Tensor:
        """K-space of an image (..., height, width), same shape, complex."""
        kspace: Tensor = torch.fft.fft2(image, norm="ortho")
        return kspace

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Image of a k-space (..., height, width), same shape, complex: the inverse transform."""
        image: Tensor = torch.fft.ifft2(measurement, norm="ortho")
        return image


class SampledFourier(Composition):
    """K-space where it is sampled: ``Mask(mask) @ Fourier()``, that knows an equivalent without shifts.

    Args:
        mask: True where k-space is measured, boolean, any shape that broadcasts with it.
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__(Mask(mask), Fourier())
        self.mask = mask

    def equivalent(self, measurement: Tensor) -> tuple[Tensor, LinearOperator]:
        """K-space (..., height, width) with the zero frequency at index 0, and its operator."""
        mask, transform = torch.fft.ifftshift(self.mask, dim=IMAGE_DIMS), UncentredFourier()
        return transform(self.adjoint(measurement)) * mask, Mask(mask) @ transform
