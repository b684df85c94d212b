"""Checks of arrays in files: their size before they are read, and masks."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lowrank_unroll.errors import DataError

MOST_COMPRESSED = 64  # bytes of an array per byte of its file; the zeros of undersampled k-space compress
ALWAYS_ACCEPTED = 2**26  # bytes


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
