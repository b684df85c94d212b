"""Folders of images."""

from pathlib import Path
from typing import Any

from datamodules.loading.data_module import Split
from datamodules.photographs.color_data_module import ColorDataModule
from datamodules.photographs.image_files import Images, read_images
from lowrank_unroll.errors import UsageError


class ImageFolder(ColorDataModule):
    """Colour images from folders of png, jpg, tiff, webp, bmp and npy files, one folder for each split.

    Args:
        train_folder: images to train on.
        val_folder: images to choose the best checkpoint by.
        test_folder: images to test on.
        kwargs: see :class:`ColorDataModule`.
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

    def images(self, split: Split) -> Images:
        """Read the folder of a split.

        Raises:
            UsageError: if no folder is given for it.
        """
        folder = self.folders[split]
        if folder is None:
            raise UsageError(f"no images for this stage: pass --data.{split}_folder FOLDER")
        return read_images(Path(folder))
