"""The networks as one writes them from the papers: the published gradient, masks and shifts anew in every iteration.

A rendering of ours, without attention to cost: the SVD with its diagonal matrices and dense projectors, convolutions in
PyTorch's default layout, masks that come from NumPy in each step, centred Fourier transforms by shifts in each
iteration. It computes the numbers of :class:`TLRNet` and :class:`T2LRNet`, from their weights.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from published_formula import PublishedSVD
from torch import Tensor, nn
from torch.nn import functional

Mask = npt.NDArray[np.bool_]
DIMS = (-2, -1)


class NaiveTLRNet(nn.Module):
    """TLR-Net for colour images.

    Args:
        network: the :class:`TLRNet` whose weights it shares.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, measurement: Tensor, mask: Mask) -> Tensor:
        """Reconstruct images (batch, channel, height, width)."""
        sampled = torch.from_numpy(mask.astype(np.float32)).to(measurement.device)
        image, multiplier = measurement, torch.zeros_like(measurement)
        for iteration in self.network.iterations:
            shifted = image + multiplier
            low_rank = shifted + low_rank_step(shifted, iteration.prox)
            image = (1 - sampled) * (low_rank - multiplier) + measurement
            multiplier = multiplier + torch.relu(iteration.multiplier_step) * (image - low_rank)
        return image


class NaiveT2LRNet(nn.Module):
    """T2LR-Net for series measured by one coil or several.

    Args:
        network: the :class:`T2LRNet` whose weights it shares.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, kspace: Tensor, mask: Mask, sensitivities: Tensor | None = None) -> Tensor:
        """Reconstruct series (batch, time, height, width) from k-space (batch, coil, time, height, width)."""
        coils = torch.ones_like(kspace[:, :, :1]) if sensitivities is None else sensitivities
        sampled = torch.from_numpy(mask.astype(np.float32)).to(kspace.device)
        image = combine(kspace * sampled, coils)
        for iteration in self.network.iterations:
            residual = sampled * transform(coils * image[:, None]) - kspace
            image = image - torch.relu(iteration.step_size) * combine(sampled * residual, coils)
            image = image + low_rank_step(image, iteration.prox)
        return image


def low_rank_step(image: Tensor, prox: nn.Module) -> Tensor:
    """Encode, shrink singular values at a fraction of the largest, decode."""
    return convolve(shrink(convolve(image, prox.encoder), prox.threshold_logit), prox.decoder)


def shrink(A: Tensor, logit: Tensor) -> Tensor:
    """Soft thresholding of singular values, relative to the largest, through the published gradient."""
    U, S, Vh = PublishedSVD.apply(A)  # type: ignore[no-untyped-call]
    kept = (S - torch.sigmoid(logit) * S[..., :1]).relu()
    return U @ torch.diag_embed(kept).to(U.dtype) @ Vh


def convolve(image: Tensor, stack: Any) -> Tensor:
    """Three convolutions, ReLU between them; of complex series, in 3-D, as two channels."""
    if image.is_complex():
        channels = convolutions(torch.stack([image.real, image.imag], dim=1), stack, functional.conv3d)
        return torch.complex(channels[:, 0], channels[:, 1])
    return convolutions(image, stack, functional.conv2d)


def convolutions(channels: Tensor, stack: Any, convolution: Any) -> Tensor:
    """The same of real channels."""
    channels = torch.relu(convolution(channels, stack.conv0.weight, padding=1))
    channels = torch.relu(convolution(channels, stack.conv1.weight, padding=1))
    result: Tensor = convolution(channels, stack.conv2.weight, padding=1)
    return result


def transform(image: Tensor) -> Tensor:
    """The centred, orthonormal Fourier transform."""
    return torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(image, dim=DIMS), norm="ortho"), dim=DIMS)


def combine(kspace: Tensor, coils: Tensor) -> Tensor:
    """Its inverse for every coil, and the sum over the coils."""
    images = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(kspace, dim=DIMS), norm="ortho"), dim=DIMS)
    return (coils.conj() * images).sum(1)
