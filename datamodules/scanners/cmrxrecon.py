"""CMRxRecon, raw data of cardiac cine MRI."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from datamodules.loading.array_checks import check_array_size
from datamodules.loading.data_module import Split
from datamodules.loading.lazy_arrays import complex_of_pairs
from datamodules.measured.coil_treatment import Coils, CoilTreatment, Measured, Size
from datamodules.measured.raw_series import sample_of
from datamodules.scanners.scanned_cines import ScannedCines
from datamodules.scanners.splits import hashed_split
from lowrank_unroll.errors import DataError, first_line
from lowrank_unroll.sample import Sample

VARIABLES = ("kspace_full", "kspace")  # of the challenge of 2023, and of later ones
SINGLE_COIL = "SingleCoil"  # folder of series whose coils are combined


class CMRxRecon(ScannedCines):
    """Fully sampled cines of the CMRxRecon challenges (Wang et al., arXiv 2309.10836), every slice of each file.

    These are `P*/cine_*.mat` files in some folder `FullSample` (MATLAB v7.3, which is HDF5); masks, and files in a
    folder `SingleCoil`, are skipped. All files of a subject are in the same split, by a hash of the subject's
    folder, three fifths for training. The files hold no noise scan: noise is whitened only by
    ``raw_coils.noise_covariance``.

    Args:
        root: folder that holds `FullSample`, at any depth; prepared files go into the folder `prepared` in it.
        kwargs: see :class:`ScannedCines`.
    """

    pattern_of_files = "**/FullSample/**/cine_*.mat"

    def __init__(self, root: Path = Path("data/cmrxrecon"), **kwargs: Any) -> None:
        super().__init__(root, **kwargs)

    def is_raw(self, file: Path) -> bool:
        """Return whether a file of the pattern holds k-space of several coils."""
        return SINGLE_COIL not in file.relative_to(self.root).parts and not file.stem.endswith("_mask")

    @staticmethod
    def read(raw: Path, coils: Coils) -> Iterator[Sample]:
        """Yield the slices of a raw file.

        Raises:
            DataError: if the file cannot be read, or holds no complex k-space of five dims; names the file.
        """
        with _opened(raw) as kspace:
            _, slices, channels, width, height = kspace.shape
            treatment = CoilTreatment(coils, raw, Size(slices, channels, height, width))
            for number in range(slices):
                yield sample_of(treatment(_measured(kspace, number), number), f"{raw.stem}/slice{number}")

    def split_of(self, raw: Path) -> Split:
        """Return the split by a hash of the path of the subject in the root."""
        return hashed_split(raw.parent.relative_to(self.root).as_posix())


@contextmanager
def _opened(raw: Path) -> Iterator[h5py.Dataset]:
    """Open k-space (time, slice, coil, ky, kx); MATLAB lists the dims in reverse, as (kx, ky, coil, slice, time)."""
    try:
        with h5py.File(raw) as content:
            yield _kspace(raw, content)
    except (DataError, ModuleNotFoundError):
        raise
    except Exception as error:  # HDF5 and NumPy raise errors of many unrelated classes
        raise DataError(
            f"{raw}: expected an HDF5 file with complex k-space (time, slice, coil, ky, kx) named "
            f"{' or '.join(VARIABLES)}: {first_line(error)}"
        ) from error


def _kspace(raw: Path, content: h5py.File) -> h5py.Dataset:
    names = [name for name in VARIABLES if name in content]
    if not names:
        raise ValueError(f"it holds only {', '.join(content) or 'nothing'}")
    kspace = content[names[0]]
    if kspace.ndim != 5 or not kspace.size:  # noqa: PLR2004
        raise ValueError(f"it has shape {kspace.shape}")
    check_array_size(raw, kspace.nbytes, "k-space")
    return kspace


def _measured(kspace: h5py.Dataset, number: int) -> Measured:
    stored = np.stack([complex_of_pairs(kspace[time, number]) for time in range(len(kspace))], axis=1)
    if not np.iscomplexobj(stored):
        raise ValueError(f"it holds {stored.dtype}")
    if not np.isfinite(stored).all():
        raise ValueError(f"slice {number} holds NaN or infinity")
    found = torch.from_numpy(stored.astype(np.complex64)).mT.contiguous()
    return Measured(found, found.abs().any(0))
