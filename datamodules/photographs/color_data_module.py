"""Base of the DataModules of colour images."""

from abc import abstractmethod
from pathlib import Path
from typing import Any

from datamodules.loading.data_module import Split
from datamodules.loading.patches_data_module import PatchesDataModule
from datamodules.photographs.augmentation import Augmentation
from datamodules.photographs.image_files import Images, read_images, read_mask
from datamodules.photographs.masked_images import MaskedImages
from datamodules.photographs.noise import GaussianNoise
from lowrank_unroll.checks import check_at_least, check_probability
from lowrank_unroll.sampling import Uniform


class ColorDataModule(PatchesDataModule[Images]):
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

    predict_argument = "predict_images"
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
        check_at_least(1, patches_per_image=patches_per_image)
        super().__init__(
            patch_size=patch_size,
            patches=patches_per_image,
            predict_path=predict_images,
            predict_mask=predict_mask,
            **kwargs,
        )
        self.ratio = ratio
        self.per_channel = per_channel
        self.noise = GaussianNoise(noise, noisy)
        self.augmentation = augmentation

    @abstractmethod
    def images(self, split: Split) -> Images:
        """Return the images of "train", "val" or "test"."""

    @property
    def val_patches(self) -> int:
        """Patches of each image to validate on."""
        return self.val_patches_per_image

    def whole_images(self, split: Split) -> Images:
        """Return the images of a split."""
        return self.images(split)

    def predicted(self, path: Path, mask: Path | None) -> MaskedImages:
        """Read and measure the images to predict."""
        return self._masked(read_images(path), mask=None if mask is None else read_mask(mask))

    def measured(self, images: Images, split: Split, patch_size: int | None, patches: int) -> MaskedImages:
        """Measure images, or patches of them, as many of each; those to train on are augmented."""
        augmentation = self.augmentation if split == "train" else None
        return self._masked(images, patch_size=patch_size, patches_per_image=patches, augmentation=augmentation)

    def _masked(self, images: Images, **kwargs: Any) -> MaskedImages:
        return MaskedImages(images, self.ratio, self.seed, per_channel=self.per_channel, noise=self.noise, **kwargs)
