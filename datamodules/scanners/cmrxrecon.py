"""CMRxRecon, raw data of cardiac cine MRI."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from datamodules.loading.data_module import Split
from datamodules.scanners.preparation import Scan
from datamodules.scanners.scanned_cines import ScannedCines
from datamodules.scanners.splits import hashed_split
from lowrank_unroll.errors import DataError, first_line

VARIABLES = ("kspace_full", "kspace")  # of the challenge of 2023, and of those after it


class CMRxRecon(ScannedCines):
    """The fully sampled cines of the CMRxRecon challenges (Wang et al., arXiv 2309.10836), every slice of each file.

    These are `P*/cine_*.mat` files in some folder `FullSample` (MATLAB v7.3, which is HDF5). All files of a subject are
    in the same split, by a hash of the subject's folder, three fifths for training.

    Args:
        root: folder that holds `FullSample`, at any depth; what is prepared goes into the folder `prepared` in it.
        kwargs: see :class:`ScannedCines`.
    """

    pattern_of_files = "**/FullSample/**/cine_*.mat"

    def __init__(self, root: Path = Path("data/cmrxrecon"), **kwargs: Any) -> None:
        super().__init__(root, **kwargs)

    @staticmethod
    def read(raw: Path) -> Iterator[Scan]:
        """Each slice of a raw file, one after the other.

        Raises:
            DataError: if the file cannot be read, or holds no complex k-space of five dims; names the file.
        """
        try:
            with h5py.File(raw) as content:
                yield from _slices(content)
        except Exception as error:  # HDF5 and NumPy raise errors of many unrelated classes
            raise DataError(
                f"{raw}: expected an HDF5 file with complex k-space (time, slice, coil, ky, kx) named "
                f"{' or '.join(VARIABLES)}: {first_line(error)}"
            ) from error

    def split_of(self, raw: Path) -> Split:
        """By a hash of the subject, relative to the root."""
        return hashed_split(raw.parent.relative_to(self.root).as_posix())


def _slices(content: h5py.File) -> Iterator[Scan]:
    names = [name for name in VARIABLES if name in content]
    if not names:
        raise ValueError(f"it holds only {', '.join(content) or 'nothing'}")
    kspace = content[names[0]]
    # MATLAB counts the dims from the other end: its (kx, ky, coil, slice, time).
    if kspace.ndim != 5 or not kspace.size:  # noqa: PLR2004
        raise ValueError(f"it has shape {kspace.shape}")
    times, slices = kspace.shape[:2]
    for index in range(slices):
        stored = np.stack([kspace[time, index] for time in range(times)], axis=1)
        numbers = (stored["real"] + 1j * stored["imag"]).astype(np.complex64)
        if not np.isfinite(numbers).all():
            raise ValueError(f"slice {index} holds NaN or infinity")
        yield Scan(f"slice{index}", torch.from_numpy(numbers).mT.contiguous())
