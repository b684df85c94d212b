"""Casorati matrices of all windows of a series, and the weighted mean of what becomes of them."""

from collections.abc import Callable

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.prox.patches import add_patches, to_patches

# Values of the matrices that are in memory at once: 32 megabytes of complex numbers.
CHUNK = 2**22


def map_windows(
    function: Callable[[Tensor], tuple[Tensor, Tensor]], series: Tensor, window: int, stride: int = 1
) -> Tensor:
    """Apply a function to the Casorati matrix of each window, and average the results where windows overlap.

    Unlike blocks, windows lie within the frames: no matrix is filled with zeros. Without a gradient, which would keep
    all matrices, they are computed in chunks to save memory.

    Args:
        function: of matrices (batch, windows, time, window * window), which treats each by itself; returns matrices of
            the same shape, and their positive weights, (batch, windows).
        series: (batch, time, height, width), real or complex.
        window: pixels a side.
        stride: pixels between windows, at most ``window``; the last one ends at the border.

    Returns:
        Shape and dtype of ``series``.

    Raises:
        ValueError: if a frame is smaller than a window.

    >>> series = torch.randn(1, 4, 6, 7, dtype=torch.complex64)
    >>> same = map_windows(lambda matrices: (matrices, torch.ones(matrices.shape[:2])), series, window=3)
    >>> torch.allclose(same, series, atol=1e-6)
    True
    """
    height, width = series.shape[-2:]
    if min(height, width) < window:
        raise ValueError(f"the frames are {height} x {width}, smaller than a window of {window} pixels a side")
    corners = _corners(height, width, window, stride, series.device).expand(len(series), -1)
    size = corners.shape[1] if torch.is_grad_enabled() else max(1, CHUNK // (series[:, :, 0, 0].numel() * window**2))
    parts = [_weighted_sum(function, series, some, window) for some in torch.split(corners, size, dim=1)]
    sums, weights = (sum(part[1:], start=part[0]) for part in zip(*parts, strict=True))
    mean: Tensor = sums / weights
    return mean


def check_window(window: int, stride: int) -> None:
    """Refuse windows that leave pixels out.

    Raises:
        ValueError: if a number is below 1, or the stride larger than the window.
    """
    check_at_least(1, window=window, stride=stride)
    if stride > window:
        raise ValueError(f"stride is {stride}, expected at most window, {window}: pixels would be in no window")


def _weighted_sum(
    function: Callable[[Tensor], tuple[Tensor, Tensor]], series: Tensor, corners: Tensor, window: int
) -> tuple[Tensor, Tensor]:
    """Return the sum over windows of their matrices times the weights, as a series, and that of the weights."""
    batch, time, height, width = series.shape
    matches, size = corners[..., None], (height, width)
    channels = torch.view_as_real(series).movedim(-1, 1).flatten(1, 2) if series.is_complex() else series
    matrices = to_patches(channels, matches, window).reshape(batch, corners.shape[1], -1, time, window**2)
    matrices = torch.complex(*matrices.unbind(2)) if series.is_complex() else matrices.squeeze(2)
    mapped, weights = function(matrices)
    weighted = weights[..., None, None] * mapped
    parts = torch.stack([weighted.real, weighted.imag], dim=2) if series.is_complex() else weighted[:, :, None]
    sums = add_patches(parts.flatten(2)[:, :, None], matches, window, size)
    total = add_patches(weights[..., None, None].expand(-1, -1, 1, window**2), matches, window, size)
    sums = sums.reshape(batch, -1, time, height, width)
    return torch.complex(*sums.unbind(1)) if series.is_complex() else sums.squeeze(1), total


def _corners(height: int, width: int, window: int, stride: int, device: torch.device) -> Tensor:
    """Return row * width + column of the first pixel of each window, (1, windows)."""
    rows, columns = (
        torch.arange(0, side - window + stride, stride, device=device).clamp(max=side - window)
        for side in (height, width)
    )
    return (rows[:, None] * width + columns).reshape(1, -1)
