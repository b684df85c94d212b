"""Interpolation of spectra, a baseline without training for bands that were not measured."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from lowrank_unroll.operators import LinearOperator, check_tensor
from lowrank_unroll.sample import COLOUR_AXES


class SpectralInterpolation(nn.Module):
    """Interpolate the spectrum of each pixel linearly between its known bands, which are evenly spaced.

    Before the first known band and after the last one it takes the nearest. Measured values are kept, and a pixel of
    which no band is known stays zero. It is linear in the measurement and has nothing to train.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    works_in_parts: ClassVar[bool] = True

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Interpolate an image.

        Args:
            measurement: y, (batch, channel, height, width).
            operator: a mask.

        Returns:
            The image, shape and dtype of A^H y.
        """
        check_tensor(measurement=measurement)
        zero_filled = operator.adjoint(measurement)
        known = operator.gram(torch.ones_like(zero_filled)) > 0
        band = torch.arange(known.shape[1], device=known.device)[:, None, None].expand_as(known)
        last = len(band[0]) - 1
        before = torch.where(known, band, -1).cummax(1).values
        after = torch.where(known, band, last + 1).flip(1).cummin(1).values.flip(1)
        lower, upper = torch.where(before < 0, after, before), torch.where(after > last, before, after)
        below, above = (zero_filled.gather(1, side.clamp(0, last)) for side in (lower, upper))
        fraction = (band - lower) / (upper - lower).clamp(min=1)
        return torch.where(known, zero_filled, torch.lerp(below, above, fraction.to(zero_filled)))
