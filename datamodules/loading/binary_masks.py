"""What a mask in a file says: which values are sampled."""

from typing import Any

import numpy as np
import numpy.typing as npt

from lowrank_unroll.errors import DataError


def sampled(mask: npt.NDArray[Any], place: str) -> npt.NDArray[np.bool_]:
    """Where a mask is not zero.

    Args:
        mask: of any shape; zero, or one other value such as True, 1 or 255.
        place: what to call the mask in an error.

    Raises:
        DataError: if it holds something else, or is zero everywhere.
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
