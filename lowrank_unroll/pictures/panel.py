"""Pictures of reconstructions beside what they were made from."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.names import drawable
from lowrank_unroll.pictures.notebook import Picture

ERROR_GAIN = 5
INCHES = 3.0


class Panel(NamedTuple):
    """One row of the picture; the images and the mask are colour, (3, height, width), black 0 and white 1."""

    name: str
    target: Tensor
    zero_filled: Tensor
    reconstruction: Tensor
    mask: Tensor | None
    zero_filled_psnr: float | None
    reconstruction_psnr: float | None


def panel_of(
    module: ReconstructionModule,
    name: str,
    images: Sequence[Tensor],
    mask: Tensor,
    psnr: tuple[float | None, float | None],
) -> Panel:
    """Make the row of one sample.

    Args:
        module: says how to show images and masks as colours.
        name: of the sample.
        images: target, zero-filled image and reconstruction, all of the target's shape.
        mask: of the sample.
        psnr: of the zero-filled image and of the reconstruction, dB; None where undefined.
    """
    target, zero_filled, reconstruction = (module.picture(image, images[0]).cpu() for image in images)
    return Panel(name, target, zero_filled, reconstruction, module.picture_of_mask(mask.cpu()), *psnr)


def draw_panels(panels: Sequence[Panel]) -> bytes:
    """The figure of panels as a PNG."""
    encoded = BytesIO()
    figure_of_panels(panels).savefig(encoded, format="png", dpi=150)
    return encoded.getvalue()


def figure_of_panels(panels: Sequence[Panel]) -> Picture:
    """Draw a row of reference, zero-filled, reconstruction, magnified error and mask for each panel.

    There is no column of masks where no panel has one.
    """
    columns = 4 if all(panel.mask is None for panel in panels) else 5
    heights = [panel.target.shape[-2] / panel.target.shape[-1] for panel in panels]
    size = columns * INCHES, sum(INCHES * height + 0.35 for height in heights)
    figure = Picture(figsize=size, layout="constrained")
    grid = figure.subplots(len(panels), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, panel in zip(grid, panels, strict=True):
        error = ERROR_GAIN * (panel.reconstruction - panel.target).abs()
        _show(axes[0], panel.target, f"{drawable(panel.name)}: reference")
        _show(axes[1], panel.zero_filled, f"zero-filled{_quality(panel.zero_filled_psnr)}")
        _show(axes[2], panel.reconstruction, f"reconstruction{_quality(panel.reconstruction_psnr)}")
        _show(axes[3], error, f"error x {ERROR_GAIN}")
        if panel.mask is not None:
            _show(axes[4], panel.mask, "mask")
    return figure


def _quality(psnr: float | None) -> str:
    return "" if psnr is None else f", {psnr:.1f} dB"


def _show(axes: Any, image: Tensor, title: str) -> None:
    axes.imshow(_pixels(image), interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("0.6")  # or white images would end in the white page


def _pixels(image: Tensor) -> npt.NDArray[np.float32]:
    return image.clamp(0, 1).permute(1, 2, 0).numpy()
