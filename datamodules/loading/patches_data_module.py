"""Base of the DataModules of real images of which a part of the values is measured."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from torch.utils.data import Dataset

from datamodules.loading.data_module import ReconstructionDataModule, Split
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import COLOUR_AXES, Sample

Images = TypeVar("Images")  # of a split, such as a list of them


class PatchesDataModule(ReconstructionDataModule, Generic[Images]):
    """Train and validate on patches of images (channel, height, width), test and predict whole ones.

    Training samples are patches with fresh masks in each epoch; validation samples are patches and test samples whole
    images, which are the same in each epoch. A subclass reads the images, and measures them.

    Args:
        patch_size: side of the patches of training and validation, in pixels.
        patches: of each image in an epoch of training.
        predict_path: for ``predict``, a file of an image or a folder of them.
        predict_mask: for ``predict``, a file that is not zero where the images are measured; None for random masks.
        kwargs: see :class:`ReconstructionDataModule`.

    Attributes:
        predict_argument: name of the argument that gives the images to predict.
        val_patches: patches of each image to validate on.

    Raises:
        ValueError: if a number is too small.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    predict_argument: ClassVar[str]

    def __init__(
        self, patch_size: int, patches: int, predict_path: Path | None, predict_mask: Path | None, **kwargs: Any
    ) -> None:
        check_at_least(1, patch_size=patch_size)
        super().__init__(**kwargs)
        self.patch_size = patch_size
        self.patches = patches
        self.predict_path = predict_path
        self.predict_mask = predict_mask

    @property
    @abstractmethod
    def val_patches(self) -> int:
        """Patches of each image to validate on."""

    @abstractmethod
    def whole_images(self, split: Split) -> Images:
        """Return the images of "train", "val" or "test"."""

    @abstractmethod
    def predicted(self, path: Path, mask: Path | None) -> Dataset[Sample]:
        """Read and measure the images to predict."""

    @abstractmethod
    def measured(self, images: Images, split: Split, patch_size: int | None, patches: int) -> Dataset[Sample]:
        """Measure images, or patches of them, as many of each."""

    def dataset(self, split: Split) -> Dataset[Sample]:
        """Measure the images of a split.

        Raises:
            UsageError: in "predict", if no images are given; or if an image is smaller than a patch, or not of the
                mask's size.
            DataError: if a file cannot be read.
        """
        if split == "predict":
            if self.predict_path is None:
                raise UsageError(f"nothing to predict: pass --data.{self.predict_argument} FILE_OR_FOLDER")
            return self.predicted(
                Path(self.predict_path), None if self.predict_mask is None else Path(self.predict_mask)
            )
        images = self.whole_images(split)
        if split == "test":
            return self.measured(images, split, None, 1)
        return self.measured(images, split, self.patch_size, self.patches if split == "train" else self.val_patches)
