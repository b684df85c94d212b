"""The Fourier transform from images to k-space, centered and uncentered."""

from typing import cast

import torch
from torch import Tensor

from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.operators.linear_operator import Composition, LinearOperator
from lowrank_unroll.operators.mask import Mask
from lowrank_unroll.operators.sampled_columns import SampledColumns, few_columns

IMAGE_DIMS = (-2, -1)


class Fourier(LinearOperator):
    """The centered, orthonormal Fourier transform over the last two dims.

    The zero frequency of a side of n pixels, and the origin of the image, are at index n // 2.

    Raises:
        ValueError: if an image or a measurement has fewer than two dims.

    >>> kspace = Fourier()(torch.ones(4, 4))
    >>> kspace.nonzero(), kspace[2, 2]
    (tensor([[2, 2]]), tensor(4.+0.j))
    """

    partial_isometry = True
    unitary = True

    def forward(self, image: Tensor) -> Tensor:
        """Return the k-space of an image (..., height, width), same shape, complex."""
        shifted = torch.fft.ifftshift(_planes(image), dim=IMAGE_DIMS)
        kspace: Tensor = torch.fft.fftshift(torch.fft.fft2(shifted, norm="ortho"), dim=IMAGE_DIMS)
        return kspace

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return the image of a k-space (..., height, width), same shape, complex: the inverse transform."""
        shifted = torch.fft.ifftshift(_planes(measurement), dim=IMAGE_DIMS)
        image: Tensor = torch.fft.fftshift(torch.fft.ifft2(shifted, norm="ortho"), dim=IMAGE_DIMS)
        return image


class UncenteredFourier(LinearOperator):
    """The orthonormal Fourier transform over the last two dims, zero frequency and origin of the image at index 0.

    It is the plain FFT, without the shifts of :class:`Fourier`.

    Raises:
        ValueError: if an image or a measurement has fewer than two dims.
    """

    partial_isometry = True
    unitary = True

    def forward(self, image: Tensor) -> Tensor:
        """Return the k-space of an image (..., height, width), same shape, complex."""
        kspace: Tensor = torch.fft.fft2(_dense_planes(image), norm="ortho")
        return kspace

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return the image of a k-space (..., height, width), same shape, complex: the inverse transform."""
        image: Tensor = torch.fft.ifft2(_dense_planes(measurement), norm="ortho")
        return image


class SampledFourier(Composition):
    """Sampled k-space: ``Mask(mask) @ Fourier()``, which iterative algorithms apply without shifts.

    Args:
        mask: True where k-space is measured, as for :class:`Mask`, any shape that broadcasts to that of k-space.

    >>> A = SampledFourier(torch.tensor([True, False, True, False]))  # columns
    >>> A(torch.ones(4, 4)).abs().sum()
    tensor(4.)
    """

    def __init__(self, mask: Tensor) -> None:
        super().__init__(Mask(torch.atleast_2d(mask)), Fourier())  # type: ignore[no-untyped-call]

    @property
    def mask(self) -> Tensor:
        """True where k-space is measured, boolean."""
        return cast("Mask", self.outer).mask

    def without_shifts(self, measurement: Tensor) -> tuple[Tensor, LinearOperator]:
        """Return k-space (..., height, width) with the zero frequency at index 0, and its operator.

        On the CPU, where few columns are sampled as a whole, return them in hybrid space, see :class:`SampledColumns`.
        """
        columns = few_columns(self.mask)
        if columns is not None:
            image = self.adjoint(measurement)
            in_hybrid_space = SampledColumns(columns, image.dtype)
            return in_hybrid_space(image), in_hybrid_space
        mask, transform = torch.fft.ifftshift(self.mask, dim=IMAGE_DIMS), UncenteredFourier()
        return transform(self.adjoint(measurement)) * mask, Mask(mask) @ transform


def _planes(image: Tensor) -> Tensor:
    """Return the image, if it has a height and a width, in a dtype that has a Fourier transform."""
    if image.ndim < len(IMAGE_DIMS):
        raise ValueError(f"the image is {tuple(image.shape)}, expected (..., height, width)")
    return at_least_single(image)


def _dense_planes(image: Tensor) -> Tensor:
    """Return the same, contiguous: on the CPU PyTorch before 2.9 cannot transform an expanded image."""
    return _planes(image).contiguous()
