"""The hyperspectral scene Indian Pines, from the package tensorly."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.loading.data_module import Split
from datamodules.loading.lazy_arrays import NpyArray
from datamodules.spectral.cube import BandsFirst, Cube, checked_cube
from datamodules.spectral.spectral_data_module import SpectralDataModule
from lowrank_unroll.errors import DataError
from lowrank_unroll.extras import extra_folder

FILE = "datasets/data/Indian_pines_corrected.npy"
SIDE, BANDS = 145, 200
ROWS: dict[Split, slice] = {"train": slice(0, 72), "val": slice(72, 104), "test": slice(104, SIDE)}


class IndianPines(SpectralDataModule):
    """Indian Pines, 145 x 145 pixels of farmland by AVIRIS in 1992, from the package tensorly (extra ``spectral``).

    A demonstration with one scene: its upper half is to train on, 32 rows are to choose the best checkpoint by, and the
    lowest 41 rows to test on.

    Args:
        bands: how many of the 200 bands to use, evenly spaced from the first to the last.
        patches_per_cube: patches in an epoch of training.
        kwargs: see :class:`SpectralDataModule`.
    """

    val_patches_per_cube = 16

    def __init__(self, bands: int | None = 32, patches_per_cube: int = 512, **kwargs: Any) -> None:
        super().__init__(bands=bands, patches_per_cube=patches_per_cube, **kwargs)

    def cubes(self, split: Split) -> Sequence[Cube]:
        """Read the rows of a split.

        Raises:
            ModuleNotFoundError: if tensorly is not installed; names the command that installs it.
            DataError: if its file is another one.
        """
        path = extra_folder("tensorly", "spectral", "Indian Pines") / FILE
        return [read_rows(path, split, self.bands)]


def read_rows(path: Path, split: Split, bands: int | None) -> Cube:
    """Return the rows of a split of the scene's file (height, width, band).

    Raises:
        DataError: if the file is missing or of another shape.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file in this version of tensorly, expected 0.9 or later")
    array = NpyArray(path)[...]
    if array.shape != (SIDE, SIDE, BANDS):
        raise DataError(f"{path}: an array of shape {array.shape}, expected {(SIDE, SIDE, BANDS)}")
    return checked_cube(BandsFirst(array[ROWS[split]], (2, 0, 1)), f"indian_pines/{split}", str(path), bands)
