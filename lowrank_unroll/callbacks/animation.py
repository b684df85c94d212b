"""Moving pictures of series of images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from lowrank_unroll.files import written_whole

MILLISECONDS = 60
SHORTEST_SIDE = 192


def save_animation(series: Sequence[Tensor], path: Path) -> None:
    """Write magnitude series side by side as an animated GIF that repeats.

    Args:
        series: each (time, height, width), real, black at 0 and white at 1.
        path: of the .gif file.
    """
    values = np.concatenate([one.clamp(0, 1).cpu().numpy() for one in series], axis=2)
    enlarged = max(1, SHORTEST_SIDE // values.shape[1])
    pixels = (255 * values).round().astype(np.uint8).repeat(enlarged, axis=1).repeat(enlarged, axis=2)
    first, *others = (Image.fromarray(frame) for frame in pixels)
    with written_whole(path) as temporary:
        first.save(temporary, save_all=True, append_images=others, duration=MILLISECONDS, loop=0)
