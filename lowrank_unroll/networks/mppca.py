"""Marchenko-Pastur PCA of the windows of a series, a baseline without training for denoising."""

from typing import ClassVar

from torch import Tensor, nn

from lowrank_unroll.linalg import Hard, centered_spectrum, noise_edge, noise_variance, safe_sqrt, spectral_function
from lowrank_unroll.operators import LinearOperator, check_tensor
from lowrank_unroll.operators.white_noise import check_frames
from lowrank_unroll.prox import map_windows
from lowrank_unroll.prox.windows import check_window
from lowrank_unroll.sample import SERIES_AXES


class MPPCA(nn.Module):
    """Drop the principal components of each window that are noise, by the Marchenko-Pastur law, whose level it finds.

    Veraart et al., "Denoising of diffusion MRI using random matrix theory", NeuroImage 142, 2016; a window less the
    mean of each frame, and overlapping windows averaged with weights 1 / (1 + components kept), as by Manjon et al.,
    PLoS ONE 8, 2013. For measurements whose noise is white in A^H y, such as those of the identity or of all k-space.
    It has nothing to train: run ``test`` or ``predict``, or let a network start from it.

    Args:
        window: pixels a side; there should be more pixels in a window than frames.
        stride: pixels between windows, at most ``window``.

    Raises:
        ValueError: if a number is out of its range.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES

    def __init__(self, window: int = 5, stride: int = 1) -> None:
        check_window(window, stride)
        super().__init__()
        self.window = window
        self.stride = stride

    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Denoise a series A^H y, (batch, time, height, width), real or complex.

        Raises:
            UsageError: if it has a single frame.
            ValueError: if a frame is smaller than a window.
        """
        check_tensor(measurement=measurement)
        series = operator.adjoint(measurement)
        check_frames(series)
        return map_windows(_without_noise, series, self.window, self.stride)


def _without_noise(matrices: Tensor) -> tuple[Tensor, Tensor]:
    """Return the components of (..., time, pixels) that are no noise, and weights that prefer few of them."""
    mean = matrices.mean(-1, keepdim=True)
    S, shape = centered_spectrum(matrices), (matrices.shape[-2], matrices.shape[-1])
    threshold = noise_edge(safe_sqrt(noise_variance(S, shape)), shape)
    rank = (threshold[..., None] < S).sum(-1)
    denoised = spectral_function(matrices - mean, Hard(threshold.to(matrices.real.dtype)))
    return mean + denoised, 1 / (1 + rank.to(matrices.real.dtype))
