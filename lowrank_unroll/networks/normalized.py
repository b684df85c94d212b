"""Unrolled networks that see images in units of their root mean square."""

from typing import NamedTuple

import torch
from torch import Tensor

from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators.noise_level import root_mean_square


class NormalizedState(NamedTuple):
    """The image x, (batch, ...), and its unit, the root mean square of the first image, (batch, 1, ...)."""

    image: Tensor
    scale: Tensor


class NormalizedNetwork(UnrolledNetwork[NormalizedState]):
    """An unrolled network whose convolutions see x / scale.

    It is positively homogeneous, whatever the convolutions are: biases and normalizations would otherwise tie it to the
    unit of the images that it was trained on.
    """

    def initial_state(self, image: Tensor) -> NormalizedState:
        """Start from the first image."""
        return NormalizedState(image, rms_scale(image))


@torch.no_grad()
def rms_scale(image: Tensor) -> Tensor:
    """Return the root mean square of each image (batch, ...), (batch, 1, ...), real; 1 for images of zeros.

    >>> rms_scale(torch.tensor([[3.0, 3.0], [0.0, 0.0]]))
    tensor([[3.],
            [1.]])
    """
    rms = root_mean_square(image)
    return rms.where(rms > 0, 1).reshape(-1, *[1] * (image.ndim - 1))
