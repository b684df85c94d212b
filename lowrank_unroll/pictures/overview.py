"""A series from a scanner at a glance: what it shows, and how it was measured."""

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from lowrank_unroll.names import drawable

INCHES = 3.0
COILS_ACROSS = 4


def draw_overview(name: str, series: Tensor, mask: Tensor | None, coil_sensitivities: Tensor | None) -> bytes:
    """Draw a series, where its k-space is sampled, and its coils, as a PNG.

    Args:
        name: of the series.
        series: magnitudes, (time, height, width).
        mask: boolean, (1, time, height, width).
        coil_sensitivities: complex, (coil, 1, height, width).
    """
    time, height, width = series.shape
    coils = 0 if coil_sensitivities is None else len(coil_sensitivities)
    rows = -(-coils // COILS_ACROSS)
    figure = Figure(figsize=(4 * INCHES, (1 + rows) * INCHES * height / width + 0.6), layout="constrained")
    figure.suptitle(drawable(name))
    grid = figure.subplots(1 + rows, COILS_ACROSS, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    _show(grid[0, 0], series[time // 2], f"frame {time // 2 + 1} of {time}")
    _show(grid[0, 1], series[:, height // 2].T, "its middle row over time", stretched=True)
    if mask is not None:
        _show(grid[0, 2], mask[0, time // 2].float(), "sampled k-space of the frame")
        share = float(mask.float().mean())
        _show(grid[0, 3], mask[0].any(1).float(), f"ky over frames, {share:.1%} sampled", stretched=True)
    for number in range(coils):
        coil = coil_sensitivities[number, 0].abs()  # type: ignore[index]
        _show(grid[1 + number // COILS_ACROSS, number % COILS_ACROSS], coil, f"coil {number + 1}")
    encoded = BytesIO()
    figure.savefig(encoded, format="png", dpi=100)
    return encoded.getvalue()


def _show(axes: Any, image: Tensor, title: str, *, stretched: bool = False) -> None:
    axes.imshow(np.asarray(image), cmap="gray", aspect="auto" if stretched else "equal", interpolation="nearest")
    axes.set_title(title, fontsize=9)
