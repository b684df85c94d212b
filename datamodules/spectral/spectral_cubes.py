"""Folders of multi- and hyperspectral cubes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.loading.data_module import Split
from datamodules.spectral.cube import Cube
from datamodules.spectral.spectral_data_module import SpectralDataModule
from lowrank_unroll.errors import UsageError


class SpectralCubes(SpectralDataModule):
    """Cubes from folders of npy, mat, h5, ENVI and tiff files, one folder for each split.

    A file holds one cube. The spectrum of npy, mat and h5 files is the dim ``band_axis``, the last one by default; the
    others say where theirs is. Large cubes of npy, h5, ENVI and MATLAB 7.3 stay in their file.

    Args:
        train_folder: cubes to train on.
        val_folder: cubes to choose the best checkpoint by.
        test_folder: cubes to test on.
        kwargs: see :class:`SpectralDataModule`.
    """

    def __init__(
        self,
        train_folder: Path | None = None,
        val_folder: Path | None = None,
        test_folder: Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.folders: dict[Split, Path | None] = {"train": train_folder, "val": val_folder, "test": test_folder}

    def cubes(self, split: Split) -> Sequence[Cube]:
        """Read the folder of a split.

        Raises:
            UsageError: if no folder is given for it.
        """
        folder = self.folders[split]
        if folder is None:
            raise UsageError(f"no cubes for this stage: pass --data.{split}_folder FOLDER")
        return self.read_cubes(Path(folder))
