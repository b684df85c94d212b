"""Linear interpolation of sampled images, a baseline without training."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lowrank_unroll.operators import LinearOperator, check_tensor
from lowrank_unroll.sample import COLOUR_AXES

Values = npt.NDArray[Any]
FEWEST = 4  # known values for triangles


class LinearInterpolation(nn.Module):
    """Interpolate each channel linearly on the Delaunay triangles of its known values, by SciPy.

    Outside of all triangles, or with too few known values, it takes the nearest one. Measured values are kept. It has
    nothing to train, and no gradient.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    works_in_parts: ClassVar[bool] = True

    @torch.no_grad()
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
        pairs = zip(zero_filled.flatten(0, 1).cpu().numpy(), known.flatten(0, 1).cpu().numpy(), strict=True)
        filled = np.stack([_interpolate(*pair) for pair in pairs])
        return torch.from_numpy(filled).to(zero_filled).reshape(zero_filled.shape)


def _interpolate(values: Values, known: npt.NDArray[np.bool_]) -> Values:
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator  # noqa: PLC0415  slow to import

    pixels, missing = np.argwhere(known), np.argwhere(~known)
    if not len(pixels) or not len(missing):
        return values
    filled = values.copy()
    filled[~known] = NearestNDInterpolator(pixels, values[known])(missing)
    if len(pixels) >= FEWEST and np.ptp(pixels, axis=0).all():
        linear = LinearNDInterpolator(pixels, values[known])(missing)
        filled[~known] = np.where(np.isnan(linear), filled[~known], linear)
    return filled
