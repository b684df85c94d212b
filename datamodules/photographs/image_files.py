"""Colour images in memory, and reading them from files."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image
from rich.progress import track
from skimage import util

from lowrank_unroll.errors import DataError, first_line

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy"}
Pixels = npt.NDArray[np.uint8]


class Images(NamedTuple):
    """Colour images, each (height, width, 3) uint8, and what to call them."""

    pixels: Sequence[Pixels]
    names: Sequence[str]


def read_images(path: Path) -> Images:
    """Read an image file, or all png, jpg, tiff and npy files of a folder in order of their names.

    A .npy file holds one image (height, width[, 3]) or a stack (number, height, width, 3). Grey images become
    colour, transparency is dropped, 16-bit and floating-point images (in [0, 1]) become 8-bit.

    Raises:
        FileNotFoundError: if there is no such file or folder, or no image in the folder.
        DataError: if a file cannot be read as an image; names the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no image file or folder {path.absolute()}")
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if _is_image(file))
    if not files:
        raise FileNotFoundError(f"no {', '.join(sorted(SUFFIXES))} file in the folder {path.absolute()}")
    stems = Counter(file.stem for file in files)
    pixels: list[Pixels] = []
    names: list[str] = []
    for file in track(files, description=f"Reading {path.name}", transient=True, disable=len(files) == 1):
        name = file.stem if stems[file.stem] == 1 else file.name
        images = _read(file)
        pixels.extend(images)
        names.extend([name] if len(images) == 1 else [f"{name}[{index}]" for index in range(len(images))])
    return Images(pixels, names)


def read_mask(path: Path) -> npt.NDArray[np.bool_]:
    """Read a mask, True where the file is not zero: (height, width) for all channels, or (height, width, 3).

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if the file cannot be read or has another shape; names the file.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no mask file {path.absolute()}")
    mask = _load(path)
    if mask.ndim not in {2, 3} or (mask.ndim == 3 and mask.shape[2] != 3):  # noqa: PLR2004
        raise DataError(f"{path}: a mask of shape {mask.shape}, expected (height, width) or (height, width, 3)")
    sampled: npt.NDArray[np.bool_] = mask != 0
    return sampled


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not file.name.startswith(".")


def _load(path: Path) -> npt.NDArray[Any]:
    if path.is_dir():
        raise DataError(f"{path}: a folder, expected an image file")
    try:
        array = _READERS.get(path.suffix.lower(), _read_by_pillow)(path)
    except Exception as error:  # image readers raise errors of many unrelated classes
        raise DataError(f"{path}: cannot be read as an image: {first_line(error)}") from error
    if array.dtype.kind not in "biuf" or not array.size or not np.isfinite(array).all():
        raise DataError(f"{path}: an array of shape {array.shape} and type {array.dtype}, expected finite real numbers")
    return array


def _read_by_pillow(path: Path) -> npt.NDArray[Any]:
    with Image.open(path) as image:
        return np.asarray(
            image.convert() if image.mode == "P" else image
        )  # a palette's colours instead of their numbers


def _read_npy(path: Path) -> npt.NDArray[Any]:
    return np.array(np.lib.format.open_memmap(path, mode="r"))


_READERS: dict[str, Callable[[Path], npt.NDArray[Any]]] = {
    ".npy": _read_npy,
    ".tif": tifffile.imread,
    ".tiff": tifffile.imread,
}


def _is_npy(path: Path) -> bool:
    return path.suffix.lower() == ".npy"


def _read(path: Path) -> Sequence[Pixels]:
    array = _load(path)
    stack = array if _is_npy(path) and array.ndim == 4 else array[None]  # noqa: PLR2004
    stack = stack[..., None] if stack.ndim == 3 else stack  # noqa: PLR2004
    channels = stack.shape[-1]
    if stack.ndim != 4 or channels not in {1, 2, 3, 4}:  # noqa: PLR2004
        raise DataError(f"{path}: an array of shape {array.shape}, expected (height, width[, 1 to 4])")
    colors = stack[..., :3] if channels >= 3 else np.repeat(stack[..., :1], 3, axis=-1)  # noqa: PLR2004
    if colors.dtype == np.uint16:  # img_as_ubyte would not scale a dark image
        return list((colors >> 8).astype(np.uint8))
    try:
        return list(util.img_as_ubyte(colors))
    except ValueError as error:
        raise DataError(f"{path}: {array.dtype} values outside [0, 1]: {first_line(error)}") from error
