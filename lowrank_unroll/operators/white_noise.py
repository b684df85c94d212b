"""The level of white noise in a series of images, from the series itself."""

import torch
from torch import Tensor

from lowrank_unroll.linalg import centered_spectrum, noise_variance

WINDOW = 5


@torch.no_grad()
def estimate_white_noise(series: Tensor, window: int = WINDOW) -> Tensor:
    """Estimate the standard deviation of white noise from windows of a series, whose matrices are of low rank without.

    It is the median of what the Marchenko-Pastur law says of each of the windows side by side, see
    :func:`lowrank_unroll.linalg.noise_variance`.

    Args:
        series: (batch, time, height, width), real or complex.
        window: pixels a side; at most those of a frame are used.

    Returns:
        (batch,), of a real series the standard deviation, of a complex one that of the real part, which is equal to
        that of the imaginary part.

    >>> noise = torch.randn(2, 8, 40, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    >>> estimate_white_noise(2**0.5 * noise).round(decimals=1)
    tensor([1., 1.])
    """
    side = min(window, *series.shape[-2:])
    windows = series.unfold(-2, side, side).unfold(-2, side, side).flatten(-2)  # (batch, time, row, column, pixels)
    matrices = windows.flatten(2, 3).transpose(1, 2)
    variance = (
        noise_variance(centered_spectrum(matrices), (matrices.shape[-2], matrices.shape[-1])).median(dim=1).values
    )
    return (variance / (1 + series.is_complex())).sqrt()
