"""Checks of arrays in files: their size before they are read or unfolded, and masks."""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lowrank_unroll.errors import DataError

MOST_COMPRESSED = 64  # bytes of an array per byte of its file; the zeros of undersampled k-space compress
ALWAYS_ACCEPTED = 2**26  # bytes
STEP = 2**24  # bytes that are unfolded at a time


def check_array_size(path: Path, size: int, what: str) -> None:
    """Refuse an array that would take far more memory than its file, before it is read.

    Args:
        path: of the file.
        size: of the array, bytes.
        what: name of the array in the error.

    Raises:
        DataError: if it is larger than both 64 MiB and 64 times the file; names the file.
    """
    content = path.stat().st_size
    if size > max(ALWAYS_ACCEPTED, MOST_COMPRESSED * content):
        raise DataError(
            f"{path}: {what} would take {size / 1e6:.0f} MB of memory, more than {MOST_COMPRESSED} times the "
            f"{content / 1e6:.3g} MB of the file: if that is intended, write it without compression"
        )


def check_unfolded(path: Path, data: bytes, before: int) -> int:
    """Refuse a compressed part of a file that unfolds to far more than the file, whatever size the file declares.

    Readers trust the declared size, and a part may unfold to a thousand times that.

    Args:
        path: of the file.
        data: compressed by zlib.
        before: number of bytes that earlier parts unfolded to.

    Returns:
        The number of bytes with those of this part.

    Raises:
        DataError: as by :func:`check_array_size`, which see for the limits.
    """
    decompressor, unfolded = zlib.decompressobj(), before
    while data and not decompressor.eof:
        unfolded += len(decompressor.decompress(data, STEP))
        data = decompressor.unconsumed_tail
        check_array_size(path, unfolded, "its content")
    return unfolded


def as_boolean_mask(mask: npt.NDArray[Any], place: str) -> npt.NDArray[np.bool_]:
    """Return True where a mask is not zero.

    Args:
        mask: of any shape; zero, or one other value such as True, 1 or 255.
        place: name of the mask in an error.

    Raises:
        DataError: if it holds other values, or is zero everywhere.
    """
    if mask.dtype.kind not in "biufc":
        raise DataError(f"{place} is {mask.dtype}, expected numbers or booleans")
    if not np.isfinite(mask).all():
        raise DataError(f"{place} holds NaN or infinity, expected 0 and one other value")
    chosen: npt.NDArray[np.bool_] = mask != 0
    if not chosen.any():
        raise DataError(f"{place} is zero everywhere, expected another value where something is measured")
    values = mask[chosen]
    if (values != values[0]).any():
        other = values[values != values[0]][0]
        raise DataError(f"{place} holds {values[0]} and {other}, expected 0 and one other value")
    return chosen
