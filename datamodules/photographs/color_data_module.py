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

    Training samples are patches with fresh masks in each epoch; validation samples are patches and test samples whole
    images, which are the same in each epoch.

    Args:
        ratio: share of the values that is measured, in (0, 1]; or the smallest and largest share, between which each
            sample draws its own.
        per_channel: True for a mask for each channel, as with a colour filter array; False for the same mask in all
            channels, as in inpainting; a number between 0 and 1 for the share of samples with a mask for each channel.
        noise: standard deviation of the noise of measured values, of 255; or the smallest and largest, between which
            each sample draws its own.
        noisy: share of the samples that have noise; a network has to see some without to learn to keep exact values.
        patch_size: side of the patches of training and validation, in pixels.
        patches_per_image: patches of each image in an epoch of training.
        augmentation: of patches to train on, such as :class:`ChannelsApart`; None for none.
        predict_images: for ``predict``, an image file or a folder of them.
        predict_mask: for ``predict``, an image or .npy file that is not zero where the images are measured; random
            masks of ``ratio`` if it is not given.
        batch_size: samples in a batch of training and validation.
        num_workers: processes that load; 0 loads in the training process.
        seed: of shuffling, patches and masks.

    Raises:
        ValueError: if the ratio or another share is out of its range, or another number is too small.
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
        Uniform(ratio)  # checks the ratio
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
        """Return the images of "train", "val" or "test"."""

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
