"""Linear interpolation of sampled images, a baseline without training."""

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lowrank_unroll.operators import LinearOperator, check_tensor
from lowrank_unroll.sample import COLOUR_AXES

Values = npt.NDArray[Any]
FEWEST = 4  # known values that span triangles


class LinearInterpolation(nn.Module):
    """Interpolate each channel linearly on the Delaunay triangles of its known values, by SciPy.

    Outside of all triangles, and where there are too few known values, the nearest one is taken; measured values are
    kept. It has nothing to train, and no gradient.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    works_in_parts: ClassVar[bool] = True

    @torch.no_grad()
    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Fill an image in.

        Args:
            measurement: y, (batch, channel, height, width).
            operator: a mask.

        Returns:
            The image, shape and dtype of A^H y.
        """
        check_tensor(measurement=measurement)
        zero_filled = operator.adjoint(measurement)
        known = operator.normal(torch.ones_like(zero_filled)) > 0
        pairs = zip(zero_filled.flatten(0, 1).cpu().numpy(), known.flatten(0, 1).cpu().numpy(), strict=True)
        filled = np.stack([_interpolated(values, places) for values, places in pairs])
        return torch.from_numpy(filled).to(zero_filled).reshape(zero_filled.shape)


def _interpolated(values: Values, known: npt.NDArray[np.bool_]) -> Values:
    from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator  # noqa: PLC0415  slow to import

    places, wanted = np.argwhere(known), np.argwhere(~known)
    if not len(places) or not len(wanted):
        return values
    filled = values.copy()
    filled[~known] = NearestNDInterpolator(places, values[known])(wanted)
    if len(places) >= FEWEST and np.ptp(places, axis=0).all():
        linear = LinearNDInterpolator(places, values[known])(wanted)
        filled[~known] = np.where(np.isnan(linear), filled[~known], linear)
    return filled
