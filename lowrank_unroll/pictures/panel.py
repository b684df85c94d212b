"""Rows of pictures: reference, adjoint reconstruction, reconstruction, error and mask of a sample."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lowrank_unroll.curves import Curves
from lowrank_unroll.metrics import defined_values
from lowrank_unroll.names import drawable
from lowrank_unroll.pictures.display import Picture
from lowrank_unroll.pictures.encoding import encode_figure

ERROR_GAIN = 5
INCHES = 3.0


class Panel(NamedTuple):
    """One row of the picture: colors (3, height, width), black 0 and white 1, and PSNR in dB; None if unknown.

    Curves are those of the reconstruction and of the target, at the same pixels.
    """

    name: str
    target: Tensor | None
    zero_filled: Tensor
    reconstruction: Tensor
    mask: Tensor | None
    zero_filled_psnr: float | None
    reconstruction_psnr: float | None
    curves: Curves | None = None
    target_curves: Curves | None = None
    start_name: str = "zero-filled"


def make_panel(
    name: str,
    images: tuple[Tensor | None, Tensor, Tensor],
    mask: Tensor | None,
    to_colors: Callable[[Tensor, Tensor], Tensor],
    psnr: Callable[[Tensor, Tensor], Tensor],
    to_curves: Callable[[Tensor], Curves | None] | None = None,
    start_name: str = "zero-filled",
) -> Panel:
    """Make the row of one sample.

    Args:
        name: of the sample.
        images: target, or None if unknown, adjoint reconstruction and reconstruction, all of one shape.
        mask: of the sample, as colors (3, height, width); None for none.
        to_colors: called as ``to_colors(image, bright)``, returns an image as colors, (3, height, width), its
            brightness taken from the target or, if that is unknown, from the reconstruction.
        psnr: called as ``psnr(images, targets)``, returns a value in dB for each of a batch.
        to_curves: called as ``to_curves(image)``, returns curves to draw beside the pictures; None for none.
        start_name: title of the adjoint reconstruction.
    """
    target, *others = images
    curves, target_curves = (
        None if to_curves is None or image is None else to_curves(image.cpu()) for image in (others[-1], target)
    )
    bright = others[-1] if target is None else target
    zero_filled, reconstruction = (to_colors(image, bright).cpu() for image in others)
    if target is None:
        return Panel(name, None, zero_filled, reconstruction, mask, None, None, curves, start_name=start_name)
    before, after = (defined_values(psnr, image[None], target[None])[0] for image in others)
    colors = to_colors(target, bright).cpu()
    return Panel(name, colors, zero_filled, reconstruction, mask, before, after, curves, target_curves, start_name)


def draw_panels(panels: Sequence[Panel]) -> bytes:
    """Draw the figure of panels as a PNG."""
    return encode_figure(figure_of_panels(panels), dpi=150)


def figure_of_panels(panels: Sequence[Panel]) -> Picture:
    """Draw a row of reference, adjoint reconstruction, reconstruction, magnified error, mask and curves for each panel.

    There is no column for what no panel has: a reference and the error, a mask, or curves.
    """
    rows = [_titled(panel) for panel in panels]
    columns = max(len(row) + (panel.curves is not None) for row, panel in zip(rows, panels, strict=True))
    heights = [panel.reconstruction.shape[-2] / panel.reconstruction.shape[-1] for panel in panels]
    size = columns * INCHES, sum(INCHES * height + 0.35 for height in heights)
    figure = Picture(figsize=size, layout="constrained")
    grid = figure.subplots(len(panels), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, row, panel in zip(grid, rows, panels, strict=True):
        for place, (title, image) in zip(axes, row.items(), strict=False):
            _show(place, image, title)
        if panel.curves is not None:
            _mark(axes[0], panel.curves)
            _plot(axes[len(row)], panel.curves, panel.target_curves)
    return figure


def _titled(panel: Panel) -> dict[str, Tensor]:
    """Return the images of a row by their titles, of which the first names the sample."""
    shown = {
        f"{panel.start_name}{_quality(panel.zero_filled_psnr)}": panel.zero_filled,
        f"reconstruction{_quality(panel.reconstruction_psnr)}": panel.reconstruction,
    }
    if panel.target is not None:
        error = ERROR_GAIN * (panel.reconstruction - panel.target).abs()
        shown = {"reference": panel.target} | shown | {f"error x {ERROR_GAIN}": error}
    if panel.mask is not None:
        shown["mask"] = panel.mask
    first, *others = shown
    return {f"{drawable(panel.name)}: {first}": shown[first]} | {title: shown[title] for title in others}


def _quality(psnr: float | None) -> str:
    return "" if psnr is None else f", {psnr:.1f} dB"


def _show(axes: Any, image: Tensor, title: str) -> None:
    axes.imshow(_pixels(image), interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("0.6")  # without a frame, white images would merge with the white page


def _mark(axes: Any, curves: Curves) -> None:
    """Circle the pixels of curves in a picture, each in the color of its curve."""
    for number, (row, column) in enumerate(curves.pixels):
        for color, width in (("white", 4), (f"C{number}", 2)):
            axes.plot(column, row, "o", markersize=10, fillstyle="none", color=color, markeredgewidth=width)


def _plot(axes: Any, curves: Curves, target: Curves | None) -> None:
    """Plot curves, and those of the target below them, dashed."""
    dashed = "" if target is None else ", dashed: reference"
    for number, curve in enumerate(curves.values):
        axes.plot(curve, color=f"C{number}", linewidth=1)
        if target is not None:
            axes.plot(target.values[number], "--", color=f"C{number}", linewidth=1)
    axes.set_title(f"{curves.title}{dashed}", fontsize=10)
    axes.set_xlabel(curves.axis, fontsize=8)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.tick_params(labelsize=8)


def _pixels(image: Tensor) -> npt.NDArray[np.float32]:
    return image.clamp(0, 1).permute(1, 2, 0).numpy()
