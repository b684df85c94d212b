"""Optimal shrinkage of singular values of the windows of a series, a baseline without training for denoising."""

import math
from typing import ClassVar

from torch import Tensor, nn

from lowrank_unroll.checks import check_not_negative
from lowrank_unroll.linalg import OptimalShrinker, spectral_function
from lowrank_unroll.operators import LinearOperator, check_tensor
from lowrank_unroll.operators.white_noise import estimate_white_noise
from lowrank_unroll.prox import map_windows
from lowrank_unroll.prox.windows import check_window
from lowrank_unroll.sample import SERIES_AXES


class OptimalShrinkageRecon(nn.Module):
    """Shrink the singular values of each window for the smallest squared error in noise of known level.

    A window is a matrix of time x pixels, less the mean of each frame. The shrinkage is
    :class:`lowrank_unroll.linalg.OptimalShrinker` (Gavish & Donoho, IEEE Trans. Inf. Theory 63, 2017); overlapping
    windows are averaged. For measurements whose noise is white in A^H y, such as those of the identity or
    of all k-space. It has nothing to train: run ``test`` or ``predict``, or let a network start from it.

    Args:
        window: pixels a side.
        stride: pixels between windows, at most ``window``.
        noise: standard deviation of the real and of the imaginary part of the noise, in the unit of the measurement; it
            is 1 for the DataModules of denoising. None to estimate it from the series, by :func:`estimate_white_noise`.

    Raises:
        ValueError: if a number is out of its range.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES

    def __init__(self, window: int = 5, stride: int = 1, noise: float | None = None) -> None:
        check_window(window, stride)
        if noise is not None:
            check_not_negative(noise=noise)
        super().__init__()
        self.window = window
        self.stride = stride
        self.noise = noise

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Denoise a series A^H y, (batch, time, height, width), real or complex."""
        check_tensor(measurement=measurement)
        series = operator.adjoint(measurement)
        noise = self._noise(series)
        if series.is_complex():
            noise = math.sqrt(2) * noise

        def shrink(matrices: Tensor) -> tuple[Tensor, Tensor]:
            mean = matrices.mean(-1, keepdim=True)
            shape = (matrices.shape[-2], max(1, matrices.shape[-1] - 1))  # the mean takes one column of the noise
            shrunk = spectral_function(matrices - mean, OptimalShrinker(noise[:, None], shape))
            return mean + shrunk, noise.new_ones(matrices.shape[:2])

        return map_windows(shrink, series, self.window, self.stride)

    def _noise(self, series: Tensor) -> Tensor:
        """Return the standard deviation of the real part of the noise of each series, (batch,)."""
        if self.noise is None:
            return estimate_white_noise(series)
        return series.real.new_full((len(series),), self.noise)
