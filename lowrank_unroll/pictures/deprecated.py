"""Functions that took a module until version 0.1; they warn, and go with version 0.3."""

import warnings
from typing import Any

from torch import Tensor

from lowrank_unroll.metrics import defined_values
from lowrank_unroll.pictures.panel import Panel, make_panel


def panel_of(module: Any, name: str, images: tuple[Tensor | None, Tensor, Tensor], mask: Tensor) -> Panel:
    """Make the row of one sample by the ``picture``, ``picture_of_mask`` and ``metrics`` of a module."""
    warnings.warn("panel_of(module, ...) is now make_panel(..., to_colors, psnr)", DeprecationWarning, stacklevel=2)
    psnr = module.metrics()["psnr"].function
    return make_panel(name, images, module.picture_of_mask(mask.cpu()), module.picture, psnr)


def defined_psnr(module: Any, image: Tensor, target: Tensor | None) -> float | None:
    """Return the PSNR of one image, dB; None where it is undefined, or the target not known."""
    warnings.warn("defined_psnr is now lowrank_unroll.metrics.defined_values", DeprecationWarning, stacklevel=2)
    if target is None:
        return None
    return defined_values(module.metrics()["psnr"].function, image[None], target[None])[0]
