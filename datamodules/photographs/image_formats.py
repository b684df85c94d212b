"""Decoding of image files: upright, and with their colour profile."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, ImageOps

from lowrank_unroll.errors import DataError, first_line

# Kinds of TIFF whose values are brightness or RGB.
PLAIN = {tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.RGB}
EXIF_TRANSPOSED, EXIF_UPSIDE_DOWN, EXIF_MIRRORED = {5, 6, 7, 8}, {3, 4, 7, 8}, {2, 3, 6, 7}
COLOUR_PROFILE = 34675  # TIFF tag
BYTE = 8


class Decoded(NamedTuple):
    """The content of an image file.

    Attributes:
        content: a Pillow image of 8 bits, in any colour space; an array (height, width[, channel]) of other depths; or
            whatever array a .npy file holds.
        profile: the ICC profile of the colours, if the file holds one.
    """

    content: Image.Image | npt.NDArray[Any]
    profile: bytes | None = None


def decode(path: Path) -> Decoded:
    """Read an image file in the format of its suffix.

    Raises:
        DataError: if it cannot be read, holds several images, or values that are not finite real numbers; names it.
    """
    if path.is_dir():
        raise DataError(f"{path}: a folder, expected an image file")
    try:
        decoded = _DECODERS.get(path.suffix.lower(), _decode_by_pillow)(path)
    except Exception as error:  # image readers raise errors of many unrelated classes
        raise DataError(f"{path}: cannot be read as an image: {first_line(error)}") from error
    array = decoded.content
    if isinstance(array, np.ndarray) and (
        array.dtype.kind not in "biuf" or not array.size or not np.isfinite(array).all()
    ):
        raise DataError(f"{path}: an array of shape {array.shape} and type {array.dtype}, expected finite real numbers")
    return decoded


def _decode_by_pillow(path: Path) -> Decoded:
    with Image.open(path) as image:
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # a camera's JPEG, followed by previews
            raise ValueError(f"it holds {frames} pictures, expected one")
        return _upright(image)


def _upright(image: Image.Image) -> Decoded:
    profile = image.info.get("icc_profile")
    image = ImageOps.exif_transpose(image)
    return Decoded(np.asarray(image) if image.mode.startswith(("I", "F")) else image, profile)


def _decode_tiff(path: Path) -> Decoded:
    with tifffile.TiffFile(path) as file:
        series, page = file.series[0], file.pages.first
        pages = [other for other in file.pages if not getattr(other, "is_reduced", False)]  # previews
        if len(pages) != 1 and not (series.kind == "shaped" and series.ndim == 3 and series.shape[-1] in {3, 4}):  # noqa: PLR2004
            raise ValueError(f"it holds {len(pages)} pictures, expected one")
        if page.bitspersample > BYTE or page.sampleformat != tifffile.SAMPLEFORMAT.UINT:
            return _deep(series, page)
    # Pillow reads more colour spaces and compressions. It is given a stream, since it ignores the orientation of files
    # that it maps into memory.
    with path.open("rb") as stream, Image.open(stream) as image:
        return _upright(image)


def _deep(series: tifffile.TiffPageSeries, page: tifffile.TiffPage) -> Decoded:
    if page.photometric not in PLAIN or tifffile.EXTRASAMPLE.ASSOCALPHA in page.extrasamples:
        kind = getattr(page.photometric, "name", page.photometric)
        raise ValueError(f"{kind} of {page.bitspersample} bits, expected grey or RGB without premultiplied alpha")
    array = series.asarray()
    if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE and page.samplesperpixel > 1:
        array = np.moveaxis(array, 0, -1)
    orientation = page.tags.valueof("Orientation", 1)
    array = array.swapaxes(0, 1) if orientation in EXIF_TRANSPOSED else array
    array = array[::-1] if orientation in EXIF_UPSIDE_DOWN else array
    array = array[:, ::-1] if orientation in EXIF_MIRRORED else array
    return Decoded(array, page.tags.valueof(COLOUR_PROFILE))


def _decode_npy(path: Path) -> Decoded:
    return Decoded(np.array(np.lib.format.open_memmap(path, mode="r")))


_DECODERS: dict[str, Callable[[Path], Decoded]] = {".npy": _decode_npy, ".tif": _decode_tiff, ".tiff": _decode_tiff}
