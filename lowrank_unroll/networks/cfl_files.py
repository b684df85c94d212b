"""Arrays in BART's files: the sizes in NAME.hdr, and complex64 values in NAME.cfl, column-major."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from lowrank_unroll.errors import DataError

DIMS = 16


def write_cfl(path: Path, array: npt.NDArray[np.generic]) -> None:
    """Write an array of up to 16 dims as path.hdr and path.cfl."""
    sizes = [*array.shape, *[1] * (DIMS - array.ndim)]
    path.with_suffix(".hdr").write_text(f"# Dimensions\n{' '.join(map(str, sizes))}\n")
    path.with_suffix(".cfl").write_bytes(array.astype(np.complex64).tobytes(order="F"))


def read_cfl(path: Path) -> npt.NDArray[np.complex64]:
    """Read the array of path.hdr and path.cfl, with all 16 dims.

    Raises:
        DataError: if the header has no sizes, or they do not fit the number of values.
        FileNotFoundError: if there is no such file.
    """
    header = path.with_suffix(".hdr")
    lines = header.read_text().splitlines()
    values = np.fromfile(path.with_suffix(".cfl"), np.complex64)
    try:
        sizes = [int(size) for size in lines[lines.index("# Dimensions") + 1].split()]
        return values.reshape(sizes, order="F")
    except (ValueError, IndexError) as error:
        raise DataError(f"{header}: expected the sizes of {len(values)} values under '# Dimensions'") from error
