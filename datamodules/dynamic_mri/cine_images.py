"""Real cines, of which the measurement is simulated."""

from pathlib import Path
from typing import Any

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.cine_files import read_split
from datamodules.dynamic_mri.dynamic_data_module import DynamicDataModule
from datamodules.loading.data_module import Split


class CineImages(DynamicDataModule):
    """Series of images from HDF5, npy, npz, NIfTI or DICOM files; the results are semi-synthetic.

    Magnitude series are given a smooth phase; complex ones keep theirs.

    Args:
        train_path: a file of series, or a folder of them, to train on.
        val_path: series to choose the best checkpoint by.
        test_path: series to test on.
        kwargs: see :class:`DynamicDataModule`.
    """

    def __init__(
        self,
        train_path: Path | None = None,
        val_path: Path | None = None,
        test_path: Path | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.paths: dict[Split, Path | None] = {"train": train_path, "val": val_path, "test": test_path}

    def cines(self, split: Split) -> list[Cine]:
        """Read the series of a split; those of HDF5 and .npy files stay in the file, and are read crop by crop.

        Raises:
            UsageError: if no path is given for it.
        """
        return read_split(self.paths, split)
