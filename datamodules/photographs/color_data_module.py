"""Base of the DataModules of colour images."""

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from datamodules.loading.data_module import ReconstructionDataModule, Split
from datamodules.photographs.augmentation import Augmentation
from datamodules.photographs.image_files import Images, read_images, read_mask
from datamodules.photographs.masked_images import MaskedImages
from datamodules.photographs.noise import GaussianNoise
from lowrank_unroll.checks import check_at_least, check_probability
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import COLOUR_AXES
from lowrank_unroll.sampling import Uniform


class ColorDataModule(ReconstructionDataModule):
    """Colour images, of which a random subset of the values is measured.

    Training samples are patches with a fresh mask each time; validation samples are patches, test samples whole images,
    whose patches and masks are always the same.

    Args:
        ratio: share of the values that is measured, in (0, 1]; or the smallest and largest share, between which each
            sample draws its own.
        per_channel: True measures each channel by a mask of its own, as a sensor behind a colour filter; False the same
            pixels in all channels, as in inpainting; a number between is the share of the samples that are measured as
            by True.
        noise: standard deviation of the noise of measured values, of 255; or the smallest and largest, between which
            each sample draws its own.
        noisy: share of the samples that have noise; a network that is to keep exact values exactly needs to see some.
        patch_size: pixels a side of the patches of training and validation.
        patches_per_image: patches of each image in an epoch of training.
        augmentation: how to change patches to train on, such as :class:`ChannelsApart`; None leaves them as they are.
        predict_images: for ``predict``, an image file or a folder of them.
        predict_mask: for ``predict``, an image or .npy file that is not zero where the images are measured; random
            masks of ``ratio`` if it is not given.
        batch_size: samples in a batch of training and validation.
        num_workers: processes that load; 0 loads in the training process.
        seed: of shuffling, patches and masks.

    Raises:
        ValueError: if the ratio or another share is none, or another number is too small.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    val_patches_per_image = 1

    def __init__(
        self,
        ratio: float | tuple[float, float] = 0.4,
        per_channel: bool | float = True,
        noise: float | tuple[float, float] = 0.0,
        noisy: float = 1.0,
        patch_size: int = 32,
        patches_per_image: int = 1,
        augmentation: Augmentation | None = None,
        predict_images: Path | None = None,
        predict_mask: Path | None = None,
        **kwargs: Any,
    ) -> None:
        Uniform(ratio)  # which refuses what is no share
        check_probability(per_channel=per_channel)
        check_at_least(1, patch_size=patch_size, patches_per_image=patches_per_image)
        super().__init__(**kwargs)
        self.ratio = ratio
        self.per_channel = per_channel
        self.noise = GaussianNoise(noise, noisy)
        self.patch_size = patch_size
        self.patches_per_image = patches_per_image
        self.augmentation = augmentation
        self.predict_images = predict_images
        self.predict_mask = predict_mask

    @abstractmethod
    def images(self, split: Split) -> Images:
        """The images of "train", "val" or "test"."""

    def dataset(self, split: Split) -> MaskedImages:
        """Measure the images of a split.

        Raises:
            UsageError: in "predict", if no images are given; or if an image is smaller than a patch, or not of the
                mask's size.
            DataError: if a file cannot be read.
        """
        if split == "predict":
            if self.predict_images is None:
                raise UsageError("nothing to predict: pass --data.predict_images FILE_OR_FOLDER")
            mask = None if self.predict_mask is None else read_mask(Path(self.predict_mask))
            return self._measured(read_images(Path(self.predict_images)), mask=mask)
        images = self.images(split)
        if split == "test":
            return self._measured(images)
        if split == "val":
            return self._measured(images, patch_size=self.patch_size, patches_per_image=self.val_patches_per_image)
        return self._measured(
            images,
            patch_size=self.patch_size,
            patches_per_image=self.patches_per_image,
            augmentation=self.augmentation,
        )

    def _measured(self, images: Images, **kwargs: Any) -> MaskedImages:
        return MaskedImages(images, self.ratio, self.seed, per_channel=self.per_channel, noise=self.noise, **kwargs)
