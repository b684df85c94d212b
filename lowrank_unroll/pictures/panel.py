"""Pictures of reconstructions beside what they were made from."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from torch import Tensor

from lowrank_unroll.metrics import is_defined
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.names import drawable
from lowrank_unroll.pictures.notebook import Picture

ERROR_GAIN = 5
INCHES = 3.0


class Panel(NamedTuple):
    """One row of the picture; images and mask are colour, (3, height, width), black 0 and white 1; None if unknown."""

    name: str
    target: Tensor | None
    zero_filled: Tensor
    reconstruction: Tensor
    mask: Tensor | None
    zero_filled_psnr: float | None
    reconstruction_psnr: float | None


def panel_of(
    module: ReconstructionModule,
    name: str,
    images: tuple[Tensor | None, Tensor, Tensor],
    mask: Tensor,
) -> Panel:
    """Make the row of one sample.

    Args:
        module: says how to show images and masks as colours, and what their PSNR is.
        name: of the sample.
        images: target, or None if unknown, zero-filled image and reconstruction, all of one shape.
        mask: of the sample.
    """
    target, *others = images
    bright = others[-1] if target is None else target
    zero_filled, reconstruction = (module.picture(image, bright).cpu() for image in others)
    reference = None if target is None else module.picture(target, bright).cpu()
    psnr = (defined_psnr(module, image, target) for image in others)
    return Panel(name, reference, zero_filled, reconstruction, module.picture_of_mask(mask.cpu()), *psnr)


def draw_panels(panels: Sequence[Panel]) -> bytes:
    """The figure of panels as a PNG."""
    encoded = BytesIO()
    figure_of_panels(panels).savefig(encoded, format="png", dpi=150)
    return encoded.getvalue()


def figure_of_panels(panels: Sequence[Panel]) -> Picture:
    """Draw a row of reference, zero-filled, reconstruction, magnified error and mask for each panel.

    There is no column for what no panel has: a reference and the error, or a mask.
    """
    rows = [_titled(panel) for panel in panels]
    columns = max(map(len, rows))
    heights = [panel.reconstruction.shape[-2] / panel.reconstruction.shape[-1] for panel in panels]
    size = columns * INCHES, sum(INCHES * height + 0.35 for height in heights)
    figure = Picture(figsize=size, layout="constrained")
    grid = figure.subplots(len(panels), columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, row in zip(grid, rows, strict=True):
        for place, (title, image) in zip(axes, row.items(), strict=False):
            _show(place, image, title)
    return figure


def _titled(panel: Panel) -> dict[str, Tensor]:
    """What a row shows, with the titles of it; the first one names the sample."""
    shown = {
        f"zero-filled{_quality(panel.zero_filled_psnr)}": panel.zero_filled,
        f"reconstruction{_quality(panel.reconstruction_psnr)}": panel.reconstruction,
    }
    if panel.target is not None:
        error = ERROR_GAIN * (panel.reconstruction - panel.target).abs()
        shown = {"reference": panel.target} | shown | {f"error x {ERROR_GAIN}": error}
    if panel.mask is not None:
        shown["mask"] = panel.mask
    first, *others = shown
    return {f"{drawable(panel.name)}: {first}": shown[first]} | {title: shown[title] for title in others}


def defined_psnr(module: ReconstructionModule, image: Tensor, target: Tensor | None) -> float | None:
    """Return the PSNR of one image, dB; None where it is undefined, or the target not known."""
    if target is None:
        return None
    value = module.metrics()["psnr"].function(image[None], target[None])
    return float(value) if is_defined(value, target[None]).item() else None


def _quality(psnr: float | None) -> str:
    return "" if psnr is None else f", {psnr:.1f} dB"


def _show(axes: Any, image: Tensor, title: str) -> None:
    axes.imshow(_pixels(image), interpolation="nearest")
    axes.set_title(title, fontsize=10)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_color("0.6")  # or white images would end in the white page


def _pixels(image: Tensor) -> npt.NDArray[np.float32]:
    return image.clamp(0, 1).permute(1, 2, 0).numpy()
