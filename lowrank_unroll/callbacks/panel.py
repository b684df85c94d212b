"""Pictures of reconstructions beside what they were made from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from torch import Tensor

from lowrank_unroll.files import written_whole

ERROR_GAIN = 5
INCHES = 3.0


class Panel(NamedTuple):
    """One row of the picture; the images are colour, (3, height, width), black 0 and white 1."""

    name: str
    target: Tensor
    zero_filled: Tensor
    reconstruction: Tensor
    zero_filled_psnr: float | None
    reconstruction_psnr: float | None


def save_panels(panels: Sequence[Panel], path: Path) -> None:
    """Draw a row of reference, measurement, reconstruction and magnified error for each panel."""
    heights = [panel.target.shape[-2] / panel.target.shape[-1] for panel in panels]
    figure = Figure(figsize=(4 * INCHES, sum(INCHES * height + 0.35 for height in heights)), layout="constrained")
    grid = figure.subplots(len(panels), 4, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, panel in zip(grid, panels, strict=True):
        error = ERROR_GAIN * (panel.reconstruction - panel.target).abs()
        _show(axes[0], panel.target, f"{panel.name}: reference")
        _show(axes[1], panel.zero_filled, f"measurement{_quality(panel.zero_filled_psnr)}")
        _show(axes[2], panel.reconstruction, f"reconstruction{_quality(panel.reconstruction_psnr)}")
        _show(axes[3], error, f"error x {ERROR_GAIN}")
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=150)


def _quality(psnr: float | None) -> str:
    return "" if psnr is None else f", {psnr:.1f} dB"


def _show(axes: Any, image: Tensor, title: str) -> None:
    axes.imshow(_pixels(image), interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set_axis_off()


def _pixels(image: Tensor) -> npt.NDArray[np.float32]:
    return image.clamp(0, 1).permute(1, 2, 0).numpy()
