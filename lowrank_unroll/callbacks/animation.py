"""Moving pictures of series of images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lowrank_unroll.files import written_whole

MILLISECONDS = 60
SHORTEST_SIDE = 192


def save_animation(magnitudes: Sequence[Tensor], path: Path) -> None:
    """Write series side by side as an animated GIF that repeats.

    Args:
        magnitudes: each (time, height, width), real; black at 0, white at the maximum of the first.
        path: of the .gif file.
    """
    white = magnitudes[0].max().clamp(min=torch.finfo(magnitudes[0].dtype).tiny)
    values = torch.cat([(series / white).clamp(0, 1) for series in magnitudes], dim=2).cpu().numpy()
    enlarged = max(1, SHORTEST_SIDE // min(magnitudes[0].shape[1:]))
    pixels = (255 * values).round().astype(np.uint8).repeat(enlarged, axis=1).repeat(enlarged, axis=2)
    first, *others = (Image.fromarray(frame) for frame in pixels)
    with written_whole(path) as temporary:
        first.save(temporary, save_all=True, append_images=others, duration=MILLISECONDS, loop=0)
