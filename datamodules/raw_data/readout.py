"""The readout, along which scanners sample more than the field of view needs."""

import torch
from torch import Tensor

from lowrank_unroll.operators import Fourier


def without_oversampling(images: Tensor, readout: int | None) -> Tensor:
    """The central part (..., readout, width) of images (..., height, width), which are all that if not taller."""
    return images[..., _central(images.shape[-2], readout), :]


def narrow_readout(kspace: Tensor, sampled: Tensor, readout: int, first: int | None = None) -> tuple[Tensor, Tensor]:
    """K-space of a part of an image along the readout, and where it is sampled.

    Where lines are sampled whole, that is exact. A line that an asymmetric echo or a pilot tone cuts short was zero
    beyond, and what this sharp end spreads over its neighbours is left out with what is not sampled.

    Args:
        kspace: (..., kx, ky), complex, zero where it is not sampled.
        sampled: (time, kx, ky), boolean.
        readout: pixels of the image to keep along the readout; all if it has no more.
        first: of them; None for the central ones.

    Returns:
        K-space (..., readout, ky) and sampled (time, readout, ky); what is not sampled is zero.
    """
    whole = kspace.shape[-2]
    if readout >= whole:
        return kspace, sampled
    part = _central(whole, readout) if first is None else slice(first, first + readout)
    narrow = Fourier()(Fourier().adjoint(kspace)[..., part, :])
    # Where the samples of the narrow image lie among those of the wide one, in steps of one over its field of view.
    places = whole // 2 + (torch.arange(readout, dtype=torch.float64) - readout // 2) * (whole / readout)
    before, after = (places.floor().long().clamp(max=whole - 1), places.ceil().long().clamp(max=whole - 1))
    still_sampled = sampled[..., before, :] & sampled[..., after, :]
    return narrow * still_sampled, still_sampled


def _central(height: int, readout: int | None) -> slice:
    readout = min(readout or height, height)
    first = height // 2 - readout // 2
    return slice(first, first + readout)
