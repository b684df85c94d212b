"""Series of images as animated GIFs, side by side."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lowrank_unroll.pictures.panel import ERROR_GAIN

SERIES_DIMS = 3
MILLISECONDS = 60
SHORTEST_SIDE = 192
TITLE_SIZE = 14


def comparison(
    target: Tensor | None, start: Tensor, reconstruction: Tensor, start_name: str = "zero-filled"
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Return magnitudes of series (time, height, width) side by side, and the magnified error.

    Without a target there is neither a reference nor an error. Of several components (component, time, height, width),
    each has a row, with a white of its own.

    Returns:
        Frames (time, height, width of all), uint8, white at the maximum of the target, or else of the reconstruction;
        and a title of each series.
    """
    if reconstruction.ndim > SERIES_DIMS:
        targets = [None] * len(reconstruction) if target is None else target
        rows = [comparison(*row, start_name) for row in zip(targets, start, reconstruction, strict=True)]
        return np.concatenate([frames for frames, _ in rows], axis=1), rows[0][1]
    shown = {start_name: start.abs(), "reconstruction": reconstruction.abs()}
    white = shown["reconstruction"].max()
    if target is not None:
        error = ERROR_GAIN * (shown["reconstruction"] - target.abs()).abs()
        shown = {"reference": target.abs()} | shown | {f"error x {ERROR_GAIN}": error}
        white = shown["reference"].max()
    return _grey(torch.cat(list(shown.values()), dim=2), white), tuple(shown)


def magnitude_frames(series: Tensor) -> npt.NDArray[np.uint8]:
    """Return the magnitude of a series (time, height, width), uint8, white at its maximum."""
    return _grey(series.abs(), series.abs().max())


def _grey(values: Tensor, white: Tensor) -> npt.NDArray[np.uint8]:
    relative = (values / white.clamp(min=torch.finfo(values.dtype).tiny)).clamp(0, 1)
    return (255 * relative.cpu().numpy()).round().astype(np.uint8)


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
    """Enlarge small frames by repeating pixels, so that the shorter side of a series has about 192.

    Args:
        frames: (time, height, width), uint8.
        series: how many are side by side.
    """
    times = max(1, SHORTEST_SIDE // min(frames.shape[1], frames.shape[2] // series))
    return frames.repeat(times, axis=1).repeat(times, axis=2)


def _heading(titles: Sequence[str], width: int) -> npt.NDArray[np.uint8]:
    strip = Image.new("L", (width, 2 * TITLE_SIZE))
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(TITLE_SIZE)
    room = width / len(titles) - TITLE_SIZE / 2
    longest = max(map(font.getlength, titles))
    if longest > room:
        font = ImageFont.load_default(TITLE_SIZE * room / longest)
    for column, title in enumerate(titles):
        centre = (column + 0.5) * width / len(titles)
        draw.text((centre, TITLE_SIZE), title, fill=255, font=font, anchor="mm")
    return np.asarray(strip)
