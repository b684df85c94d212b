"""The error of edges and fine detail."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from lowrank_unroll.metrics.comparison import compares

SIDE = 15
SIGMA = 1.5


@compares("..., height, width", higher_is_better=False, label="HFEN", scale_free=True)
def hfen(reconstruction: Tensor, target: Tensor) -> Tensor:
    """High-frequency error norm ||LoG(x^ - x)|| / ||LoG(x)|| of (batch, ..., height, width), shape (batch,).

    LoG filters each image of the last two dims, a frame or a channel, by a Laplacian of Gaussian of 15 x 15 pixels and
    sigma 1.5, the image zero beyond its borders. The norms are over all images of a sample (Ravishankar & Bresler, IEEE
    TMI 2011, who give the norm of the error; dividing it by the target's frees it of the unit). NaN for a target that
    is zero everywhere.
    """
    error, detail = (_norm_of_detail(images) for images in (reconstruction - target, target))
    return torch.where(detail > 0, error / detail, torch.nan)


def _norm_of_detail(images: Tensor) -> Tensor:
    kernel = _laplacian_of_gaussian().to(images)
    filtered = conv2d(images.reshape(-1, 1, *images.shape[-2:]), kernel[None, None], padding=SIDE // 2)
    return filtered.reshape(len(images), -1).abs().square().sum(1).sqrt()


def _laplacian_of_gaussian() -> Tensor:
    """Return the kernel, (15, 15), float64, of sum 0, made from a Gaussian of sum 1."""
    offset = torch.arange(SIDE, dtype=torch.float64) - SIDE // 2
    squared_radius = offset[:, None].square() + offset.square()
    gaussian = torch.exp(-squared_radius / (2 * SIGMA**2))
    kernel = gaussian / gaussian.sum() * (squared_radius - 2 * SIGMA**2) / SIGMA**4
    return kernel - kernel.mean()
