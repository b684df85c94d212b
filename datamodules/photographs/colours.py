"""Values of any type and colours of any space as 8-bit sRGB."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

from lowrank_unroll.errors import first_line

Pixels = npt.NDArray[np.uint8]

WHITE = 255
# Without palette, transparency and encodings that need no profile.
PLAIN_MODES = {"1": "L", "LA": "L", "La": "L", "L": "L", "CMYK": "CMYK", "LAB": "LAB"}
MODE_OF_PROFILE = {"GRAY": "L", "RGB": "RGB", "CMYK": "CMYK"}
# Profiles that differ less from sRGB on any colour, in steps of 8 bits, are taken for it.
ROUNDING = 2


def eight_bits(values: npt.NDArray[Any]) -> Pixels:
    """Values as 8 bits: 16-bit ones (uint16) are divided by 256, floating-point ones multiplied by 255, booleans too.

    Other whole numbers are taken as they are.

    Raises:
        ValueError: if one is outside 0 to 255, or 0 to 1; names what was found.
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
    """The colours (height, width, 3) of an image of 8 bits; transparency is dropped.

    CMYK without a profile is converted as most programs do: red is what neither cyan nor black takes away.

    Args:
        image: of any mode.
        profile: the ICC profile of its colours; sRGB if there is none.

    Raises:
        ValueError: if the profile cannot be used, or is for other colours than those of the image.
    """
    image = _plain(image)
    if image.mode == "LAB":  # is absolute
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
    if mode in {"L", "LAB"}:  # whose dark values the faster way may miss by 10 steps
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


@lru_cache(maxsize=16)  # the images of a folder often have the same
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the colours of a profile to sRGB; None if it is sRGB."""
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
