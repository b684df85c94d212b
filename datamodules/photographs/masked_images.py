"""Randomly sampled colour images, the measurements of compressed sensing."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.loading.drawn_datasets import DrawnDataset
from datamodules.loading.random_numbers import generator_of
from datamodules.photographs.augmentation import Augmentation
from datamodules.photographs.colours import WHITE
from datamodules.photographs.image_files import Images
from datamodules.photographs.noise import GaussianNoise
from lowrank_unroll.checks import check_probability
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import Uniform


class MaskedImages(DrawnDataset):
    """Images, or random patches of them, of which a random subset of the values is measured.

    A sample is a function of the seed and its draw: indices up to the length are always the same samples; a draw beyond
    the length is the image at the draw modulo the length with a fresh patch and mask.

    Args:
        images: what to measure; they stay uint8 in memory.
        ratio: share of the values that is measured, see :class:`Uniform`.
        seed: of patches and masks.
        patch_size: pixels a side of a patch; None for whole images.
        patches_per_image: patches of each image in the length.
        mask: measure by this mask, (height, width) or (height, width, 3), instead of random ones.
        augmentation: how to change an image or patch before it is measured; None leaves it as it is.
        per_channel: False measures the same pixels in all channels; True each channel by a mask of its own; a number
            between is the share of the samples that are measured as by True.
        noise: what is added to measured values.

    Raises:
        ValueError: if ``per_channel`` is outside [0, 1].
        UsageError: if an image is smaller than a patch, or not of the mask's size; names the image.
    """

    def __init__(
        self,
        images: Images,
        ratio: float | tuple[float, float],
        seed: int,
        patch_size: int | None = None,
        patches_per_image: int = 1,
        mask: npt.NDArray[np.bool_] | None = None,
        augmentation: Augmentation | None = None,
        per_channel: bool | float = True,
        noise: GaussianNoise = GaussianNoise(),  # noqa: B008  immutable
    ) -> None:
        check_probability(per_channel=per_channel)
        self.images = images
        self.ratio = ratio
        self.seed = seed
        self.patch_size = patch_size
        self.patches_per_image = patches_per_image
        self.mask = mask
        self.augmentation = augmentation
        self.per_channel = per_channel
        self.noise = noise
        for pixels, name in zip(*images, strict=True):
            if patch_size is not None and min(pixels.shape[:2]) < patch_size:
                raise UsageError(
                    f"image {name} is {pixels.shape[:2]}, smaller than patch_size {patch_size}: ask for less with "
                    "--data.patch_size"
                )
            if mask is not None and pixels.shape[:2] != mask.shape[:2]:
                raise UsageError(
                    f"image {name} is {pixels.shape[:2]}, but the mask is {mask.shape[:2]}: pass one of the same size "
                    "with --data.predict_mask"
                )

    def __len__(self) -> int:
        """The number of images times the patches of each."""
        return len(self.images.pixels) * self.patches_per_image

    def __getitem__(self, draw: int) -> Sample:
        """The sample of a draw: channels first, values in [0, 1]."""
        index = draw % len(self) // self.patches_per_image
        generator = generator_of(self.seed, draw)
        pixels = torch.tensor(self._patch(self.images.pixels[index], generator))
        target = pixels.permute(2, 0, 1).contiguous().float() / WHITE
        if self.augmentation is not None:
            target = self.augmentation(target, generator)
        mask = self._mask(target, generator)
        return Sample(
            measurement=(target + self.noise(target.shape, generator)) * mask,
            target=target,
            mask=mask,
            coil_sensitivities=None,
            scale=torch.tensor(float(WHITE)),
            name=self.images.names[index] if self.patch_size is None else f"{self.images.names[index]}[draw {draw}]",
            origin="semi-synthetic",
        )

    def _patch(self, pixels: npt.NDArray[np.uint8], generator: torch.Generator) -> npt.NDArray[np.uint8]:
        if self.patch_size is None:
            return pixels
        top, left = (
            int(torch.randint(side - self.patch_size + 1, (), generator=generator)) for side in pixels.shape[:2]
        )
        return pixels[top : top + self.patch_size, left : left + self.patch_size]

    def _mask(self, target: Tensor, generator: torch.Generator) -> Tensor:
        if self.mask is None:
            channels = len(target) if self._is_per_channel(generator) else 1
            return Uniform(self.ratio)((channels, *target.shape[1:]), generator).expand_as(target)
        mask = torch.from_numpy(self.mask)
        return (mask if mask.ndim == 3 else mask[..., None]).permute(2, 0, 1).expand_as(target)  # noqa: PLR2004

    def _is_per_channel(self, generator: torch.Generator) -> bool:
        if self.per_channel in {0, 1}:
            return bool(self.per_channel)
        return bool(torch.rand((), generator=generator) < self.per_channel)
