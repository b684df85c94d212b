"""Errors of multi- and hyperspectral images, whose channels are bands."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from lowrank_unroll.metrics.comparison import compares


@compares("band, height, width", higher_is_better=False, label="SAM", unit="°", real=True, scale_free=True)
def sam(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Spectral angle between the spectra of each pixel, in degrees, averaged over the pixels, shape (batch,).

    ``arccos <x, x^> / (||x|| ||x^||)`` (Kruse et al., Remote Sensing of Environment 1993), of images (batch, band,
    height, width). Pixels whose spectrum is zero in the target are left out; NaN if all are. A spectrum that is zero in
    the reconstruction alone is at a right angle to any.
    """
    one, other = (normalize(image, dim=1, eps=torch.finfo(image.dtype).tiny) for image in (reconstruction, target))
    # Of two unit vectors, 2 atan(|u - v| / |u + v|) is as precise for small angles, where arccos loses half the digits.
    angle = 2 * torch.atan2((one - other).norm(dim=1), (one + other).norm(dim=1)).rad2deg()
    return torch.where(target.any(1), angle, torch.nan).flatten(1).nanmean(1)


@compares("band, height, width", higher_is_better=False, label="ERGAS", unit="%", real=True, scale_free=True)
def ergas(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Relative dimensionless global error in synthesis (ERGAS), in percent, shape (batch,).

    ``100 sqrt(mean over bands of MSE_b / mean_b^2)``, where mean_b is the mean of the target's band (Wald, "Quality of
    high resolution synthesised images", 2000), of images (batch, band, height, width). Wald multiplies by the ratio of
    the pixel sizes of two sensors, which is 1 here. Bands that are zero in the target are left out; NaN if all are.
    """
    error, mean = (reconstruction - target).square().mean((2, 3)), target.mean((2, 3))
    relative = torch.where(target.flatten(2).any(2), error / mean.square(), torch.nan)
    return 100 * relative.nanmean(1).sqrt()
