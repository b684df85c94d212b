"""The Fourier transform from images to k-space."""

import torch
from torch import Tensor

from lowrank_unroll.operators.linear_operator import LinearOperator

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
