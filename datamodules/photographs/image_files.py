"""Colour images in memory, and reading them from files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from rich.progress import track

from datamodules.loading.array_checks import as_boolean_mask
from datamodules.loading.source_names import source_names
from datamodules.photographs.colours import Pixels, srgb, to_uint8
from datamodules.photographs.image_formats import decode
from lowrank_unroll.errors import DataError, first_line

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp", ".npy"}


class Images(NamedTuple):
    """Colour images, each (height, width, 3) uint8, and their names."""

    pixels: Sequence[Pixels]
    names: Sequence[str]


def read_images(path: Path) -> Images:
    """Read an image file, or all png, jpg, tiff, webp, bmp and npy files of a folder in order of their names.

    A .npy file holds one image (height, width[, 3]) or a stack (number, height, width, 3). Images are rotated by their
    EXIF orientation. Colours and greys are converted to sRGB by the profile of the file; transparency is dropped.
    uint16 and floating-point values (in [0, 1]) become 8-bit, other whole numbers are 0 to 255.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no image in the folder.
        DataError: if a file cannot be read as an image, holds several, or has values out of range; names the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no image file or folder {path.absolute()}")
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if _is_image(file))
    if not files:
        raise FileNotFoundError(f"no {', '.join(sorted(SUFFIXES))} file in the folder {path.absolute()}")
    sources = source_names([Path(file.name) for file in files])
    pixels: list[Pixels] = []
    names: list[str] = []
    progress = track(files, description=f"Reading {path.name}", transient=True, disable=len(files) == 1)
    for file, name in zip(progress, sources, strict=True):
        images = _read(file)
        pixels.extend(images)
        names.extend([name] if len(images) == 1 else [f"{name}[{index}]" for index in range(len(images))])
    return Images(pixels, names)


def pixels_of(array: npt.ArrayLike) -> Pixels:
    """Convert an array (height, width[, 1 to 4]) to pixels (height, width, 3); values as in :func:`read_images`.

    Raises:
        ValueError: if it has another shape, or a value that is out of range or not a real number.
    """
    values = np.asarray(array)
    if values.dtype.kind not in "biuf" or not values.size or not np.isfinite(values).all():
        raise ValueError(f"an array of shape {values.shape} and type {values.dtype}, expected finite real numbers")
    return srgb(_as_images(values[None])[0], None)


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Read a mask, True where the file is not zero: (height, width) for all channels, or (height, width, 3).

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if the file cannot be read, has another shape, is zero everywhere or holds more than two values;
            names the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no mask file {path.absolute()}")
    mask = _values(decode(path).content)
    if mask.ndim not in {2, 3} or (mask.ndim == 3 and mask.shape[2] != 3):  # noqa: PLR2004
        raise DataError(f"{path}: a mask of shape {mask.shape}, expected (height, width) or (height, width, 3)")
    return as_boolean_mask(mask, f"{path}: the mask")


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


def _values(content: Image.Image | npt.NDArray[Any]) -> npt.NDArray[Any]:
    if isinstance(content, np.ndarray):
        return content
    return np.asarray(
        content.convert() if content.mode == "P" else content
    )  # the colours of a palette, not its indices


def _read(path: Path) -> Sequence[Pixels]:
    content, profile = decode(path)
    try:
        images = [content] if isinstance(content, Image.Image) else _as_images(_stacked(path, content))
        return [srgb(image, profile) for image in images]
    except ValueError as error:
        raise DataError(f"{path}: {first_line(error)}") from error


def _stacked(path: Path, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return array if path.suffix.lower() == ".npy" and array.ndim == 4 else array[None]  # noqa: PLR2004


def _as_images(stack: npt.NDArray[Any]) -> list[Image.Image]:
    stack = stack[..., None] if stack.ndim == 3 else stack  # noqa: PLR2004
    if stack.ndim != 4 or stack.shape[-1] not in {1, 2, 3, 4}:  # noqa: PLR2004
        raise ValueError(f"an array of shape {stack.shape[1:]}, expected (height, width[, 1 to 4])")
    opaque = to_uint8(stack[..., :3] if stack.shape[-1] >= 3 else stack[..., 0])  # noqa: PLR2004
    return [Image.fromarray(image) for image in opaque]
