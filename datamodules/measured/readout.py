"""The readout: removal of its oversampling, and crops along it."""

import torch
from torch import Tensor

from lowrank_unroll.operators import Fourier


def crop_readout(images: Tensor, readout: int | None) -> Tensor:
    """Crop images (..., height, width) to their central part (..., readout, width); smaller ones stay as they are."""
    return images[..., _central(images.shape[-2], readout), :]


def crop_center(images: Tensor, height: int, width: int) -> Tensor:
    """Crop images to their central part (..., height, width); smaller sides stay as they are."""
    return crop_readout(images, height)[..., _central(images.shape[-1], width)]


def crop_readout_kspace(
    kspace: Tensor, sampled: Tensor, readout: int, first: int | None = None
) -> tuple[Tensor, Tensor]:
    """Crop the image of k-space along the readout.

    This is exact for lines that are fully sampled. Lines that are cut off, by an asymmetric echo or a pilot tone, are
    zero beyond the cut; samples of the result next to the cut, which the interpolation mixes with these zeros, count as
    not sampled.

    Args:
        kspace: (..., kx, ky), complex, zero where it is not sampled.
        sampled: (time, kx, ky), boolean.
        readout: pixels of the image to keep along the readout; all if it has no more.
        first: index of the first of them; None keeps the central ones.

    Returns:
        K-space (..., readout, ky), zero where it is not sampled, and sampled (time, readout, ky).
    """
    whole = kspace.shape[-2]
    if readout >= whole:
        return kspace, sampled
    part = _central(whole, readout) if first is None else slice(first, first + readout)
    narrow = Fourier()(Fourier().adjoint(kspace)[..., part, :])
    # Positions of the samples of the cropped image among those of the whole one, in units of 1 / field of view of that.
    positions = whole // 2 + (torch.arange(readout, dtype=torch.float64) - readout // 2) * (whole / readout)
    before, after = (positions.floor().long().clamp(max=whole - 1), positions.ceil().long().clamp(max=whole - 1))
    still_sampled = sampled[..., before, :] & sampled[..., after, :]
    return narrow * still_sampled, still_sampled


def _central(height: int, readout: int | None) -> slice:
    readout = min(readout or height, height)
    first = height // 2 - readout // 2
    return slice(first, first + readout)
