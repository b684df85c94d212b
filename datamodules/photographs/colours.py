"""Conversion of values of any type and colours of any space to 8-bit sRGB."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from lowrank_unroll.errors import first_line

Pixels = npt.NDArray[np.uint8]

WHITE = 255
# Modes to convert to, without palette and transparency; others become RGB.
PLAIN_MODES = {"1": "L", "LA": "L", "La": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}
MODE_OF_PROFILE = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
# A profile that differs from sRGB by at most so many of 255 steps counts as sRGB.
ROUNDING = 2


def to_uint8(values: npt.NDArray[Any]) -> Pixels:
    """Convert values to uint8: divide uint16 by 256, multiply floats and booleans by 255, cast other integers.

    Raises:
        ValueError: if integers are outside 0 to 255, or floating-point values outside 0 to 1; names their range.
    """
    if values.dtype.kind == "u" and values.dtype.itemsize == 2:  # noqa: PLR2004
        return (values >> 8).astype(np.uint8)
    fraction = values.dtype.kind in "fb"
    with np.errstate(over="ignore"):
        levels = np.rint(values * np.float32(WHITE)) if fraction else values
    if levels.min() < 0 or levels.max() > WHITE:
        expected = "0 to 1" if fraction else "0 to 255"
        raise ValueError(f"{values.dtype} values from {values.min()} to {values.max()}, expected {expected}")
    return levels.astype(np.uint8)


def srgb(image: Image.Image, profile: bytes | None) -> Pixels:
    """Convert an image of 8 bits to sRGB (height, width, 3); transparency is dropped.

    CMYK without a profile is converted as in most programs: red is (255 - cyan) (255 - black) / 255, and so on.

    Args:
        image: of any mode.
        profile: the ICC profile of its colours; sRGB if there is none.

    Raises:
        ValueError: if the profile cannot be used, or is for another colour space than that of the image.
    """
    image = _plain(image)
    if image.mode == "LAB":  # independent of a profile
        image = _to_srgb(ImageCms.createProfile("LAB"), "LAB").apply(image)
    elif profile is not None:
        mode = _mode_of(profile)
        image = image.convert(mode) if (image.mode, mode) == ("L", "RGB") else image
        if mode != image.mode:
            raise ValueError(f"its colour profile is for {mode}, but its colours are {image.mode}")
        if transform := _transform(profile, mode):
            image = transform.apply(image)
    return np.asarray(image.convert("RGB"))


def _plain(image: Image.Image) -> Image.Image:
    if image.mode in {"P", "PA", "RGBa"}:
        image = image.convert("RGBA")
    elif image.mode == "La":
        image = image.convert("LA")
    return image.convert(PLAIN_MODES.get(image.mode, "RGB"))


def _to_srgb(profile: Any, mode: str) -> ImageCms.ImageCmsTransform:
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION
    if mode in {"L", "LAB"}:  # the optimised transform is off by up to 10 steps for dark values
        flags |= ImageCms.Flags.NOOPTIMIZE
    srgb_profile = ImageCms.createProfile("sRGB")
    return ImageCms.buildTransform(profile, srgb_profile, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC, flags)


def _opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except OSError as error:
        raise ValueError("its colour profile cannot be read") from error


def _mode_of(profile: bytes) -> str:
    space = _opened(profile).profile.xcolor_space.strip()
    return MODE_OF_PROFILE.get(space, space)


@lru_cache(maxsize=16)  # the images of a folder often share a profile
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Return the transform from a profile to sRGB; None if the profile is sRGB."""
    try:
        transform = _to_srgb(_opened(profile), mode)
    except ImageCms.PyCMSError as error:
        raise ValueError(f"its colour profile cannot be used: {first_line(error)}") from error
    if mode == "CMYK":
        return transform
    steps = np.linspace(0, WHITE, 18).astype(np.uint8)
    cube = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 18, 3) if mode == "RGB" else steps[None]
    before = Image.fromarray(cube)
    after = transform.apply(before)
    change = np.abs(np.asarray(after, np.int16) - np.asarray(before.convert("RGB"), np.int16))
    return transform if change.max() > ROUNDING else None
