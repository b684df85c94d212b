"""Moving pictures of series of images."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lowrank_unroll.pictures.panel import ERROR_GAIN

MILLISECONDS = 60
SHORTEST_SIDE = 192
TITLE_SIZE = 14
COMPARISON_TITLES = ("reference", "zero-filled", "reconstruction", f"error x {ERROR_GAIN}")


def comparison(target: Tensor, zero_filled: Tensor, reconstruction: Tensor) -> list[Tensor]:
    """Magnitudes of three complex series (time, height, width), and the magnified error of the last."""
    magnitudes = [series.abs() for series in (target, zero_filled, reconstruction)]
    return [*magnitudes, ERROR_GAIN * (magnitudes[2] - magnitudes[0]).abs()]


def side_by_side(magnitudes: Sequence[Tensor]) -> npt.NDArray[np.uint8]:
    """Put series side by side, (time, height, width of all), uint8.

    Args:
        magnitudes: each (time, height, width), real; black at 0, white at the maximum of the first.
    """
    white = magnitudes[0].max().clamp(min=torch.finfo(magnitudes[0].dtype).tiny)
    values = torch.cat([(series / white).clamp(0, 1) for series in magnitudes], dim=2).cpu().numpy()
    return (255 * values).round().astype(np.uint8)


def animation(frames: npt.NDArray[np.uint8], titles: Sequence[str] = ()) -> bytes:
    """Draw frames (time, height, width), uint8, as an animated GIF that repeats.

    Args:
        frames: of one series, or of several side by side.
        titles: one above each of several series; none for no titles.
    """
    pixels = enlarged(frames, max(1, len(titles)))
    if titles:
        heading = _heading(titles, pixels.shape[2])
        pixels = np.concatenate([np.broadcast_to(heading, (len(pixels), *heading.shape)), pixels], axis=1)
    first, *others = (Image.fromarray(frame) for frame in pixels)
    encoded = BytesIO()
    first.save(encoded, "GIF", save_all=True, append_images=others, duration=MILLISECONDS, loop=0)
    return encoded.getvalue()


def enlarged(frames: npt.NDArray[np.uint8], series: int = 1) -> npt.NDArray[np.uint8]:
    """Frames whose pixels are squares large enough to be seen.

    Args:
        frames: (time, height, width), uint8.
        series: how many are side by side.
    """
    times = max(1, SHORTEST_SIDE // min(frames.shape[1], frames.shape[2] // series))
    return frames.repeat(times, axis=1).repeat(times, axis=2)


def _heading(titles: Sequence[str], width: int) -> npt.NDArray[np.uint8]:
    strip = Image.new("L", (width, 2 * TITLE_SIZE))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(TITLE_SIZE)
    for column, title in enumerate(titles):
        centre = (column + 0.5) * width / len(titles)
        draw.text((centre, TITLE_SIZE), title, fill=255, font=font, anchor="mm")
    return np.asarray(strip)
