"""Facts about coils that are given as arrays of NumPy."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lowrank_unroll.errors import DataError, first_line


def read_array(path: Path, what: str, *shapes: tuple[int, ...]) -> Tensor:
    """An array of finite numbers from a .npy file, complex128.

    Args:
        path: of the file.
        what: it is, for people.
        shapes: of which it must have one.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if it cannot be read, is of another shape, or holds NaN or infinity; names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.absolute()}")
    try:
        # Mapped, which refuses a shape that the file cannot hold before anything is allocated.
        array = np.lib.format.open_memmap(path, mode="r")
        numbers = array.astype(np.complex128, casting="safe")
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as {what}: {first_line(error)}") from error
    if numbers.shape not in shapes or not np.isfinite(numbers).all():
        expected = " or ".join(map(str, shapes))
        raise DataError(f"{path}: has shape {numbers.shape}, expected finite numbers {expected}, {what}")
    return torch.from_numpy(numbers)
