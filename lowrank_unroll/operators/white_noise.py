"""The level of white noise in a series of images, from the series itself."""

import torch
from torch import Tensor

from lowrank_unroll.errors import UsageError
from lowrank_unroll.linalg import centered_spectrum, noise_variance, safe_sqrt

WINDOW = 5
FEWEST_FRAMES = 2


@torch.no_grad()
def estimate_white_noise(series: Tensor, window: int = WINDOW) -> Tensor:
    """Estimate the standard deviation of white noise from windows of a series, whose matrices are of low rank without.

    It is the median of what the Marchenko-Pastur law says of each of the windows side by side, see
    :func:`lowrank_unroll.linalg.noise_variance`. Windows without any noise, such as those of a background that was set
    to zero, do not count.

    Args:
        series: (batch, time, height, width), real or complex.
        window: pixels a side; at most those of a frame are used.

    Returns:
        (batch,), of a real series the standard deviation, of a complex one that of the real part, which is equal to
        that of the imaginary part; 0 if no window has noise.

    Raises:
        UsageError: if the series has a single frame.

    >>> noise = torch.randn(2, 8, 40, 40, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    >>> estimate_white_noise(2**0.5 * noise).round(decimals=1)
    tensor([1., 1.])
    """
    check_frames(series)
    side = min(window, *series.shape[-2:])
    windows = series.unfold(-2, side, side).unfold(-2, side, side).flatten(-2)  # (batch, time, row, column, pixels)
    matrices = windows.flatten(2, 3).transpose(1, 2)
    shape = (matrices.shape[-2], max(1, matrices.shape[-1] - 1))  # the mean takes one column of the noise
    variance = noise_variance(centered_spectrum(matrices), shape)
    middle = torch.where(variance > 0, variance, torch.nan).nanmedian(dim=1).values.nan_to_num(0)
    return safe_sqrt(middle / (1 + series.is_complex())).to(series.real.dtype)


def check_frames(series: Tensor) -> None:
    """Refuse a series (batch, time, height, width) of a single frame, whose matrices are of low rank with noise, too.

    Raises:
        UsageError: says how many frames it has, and how many are expected.
    """
    if series.shape[1] < FEWEST_FRAMES:
        raise UsageError(
            f"a series of {series.shape[1]} frame does not tell its noise, expected at least {FEWEST_FRAMES} frames"
        )
