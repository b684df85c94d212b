"""Randomly sampled colour images, as in compressed sensing."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.loading.drawn_datasets import DrawnDataset, generator_of
from datamodules.photographs.augmentation import Augmentation
from datamodules.photographs.colours import WHITE
from datamodules.photographs.image_files import Images, pixels_of, read_images
from datamodules.photographs.noise import GaussianNoise
from lowrank_unroll.checks import check_at_least, check_probability
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import Uniform


class MaskedImages(DrawnDataset):
    """Images, or random patches of them, of which a random subset of the values is measured.

    A sample is a function of the seed and its draw: draws below the length are always the same samples; a draw beyond
    it is the image at the draw modulo the length, with a fresh patch and mask.

    Args:
        images: kept in memory as uint8.
        ratio: share of the values that is measured, see :class:`Uniform`.
        seed: of patches and masks.
        patch_size: side of a patch, in pixels; None for whole images.
        patches_per_image: patches of each image that the length counts.
        mask: (height, width) or (height, width, 3), True where measured; None for random masks.
        augmentation: of an image or patch before it is measured; None for none.
        per_channel: True for a mask for each channel; False for the same mask in all channels; a number between 0 and 1
            for the share of samples with a mask for each channel.
        noise: added to measured values.

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
        """Return the number of images times the patches of each."""
        return len(self.images.pixels) * self.patches_per_image

    def __getitem__(self, draw: int) -> Sample:
        """Return the sample of a draw: channels first, values in [0, 1]."""
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


def measure_image(
    image: str | Path | npt.ArrayLike,
    ratio: float = 0.4,
    *,
    per_channel: bool = True,
    mask: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Sample:
    """Measure a colour image by a random or a given mask, as the colour DataModules do.

    Args:
        image: a file of one image; or an array (height, width[, 3]) of integers from 0 to 255 or floating-point numbers
            from 0 to 1, which is rounded to 8 bits.
        ratio: share of the values that is measured, in (0, 1].
        per_channel: True for a mask for each channel; False for the same mask in all channels.
        mask: (height, width[, 3]), not zero where measured; None for a random mask.
        seed: of the random mask.

    Returns:
        The sample without a batch dim; its images are (3, height, width), float32 in [0, 1].

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if the file cannot be read as an image; names it.
        UsageError: if the file holds several images.
        ValueError: if the ratio is out of its range, the array is not an image, or the mask has another size.
    """
    check_at_least(0, seed=seed)
    images = _images(image)
    size = images.pixels[0].shape[:2]
    known = None if mask is None else np.asarray(mask) != 0
    if known is not None and (known.shape[:2] != size or known.shape[2:] not in {(), (3,)}):
        raise ValueError(f"mask is {known.shape}, expected the image's (height, width[, 3]), which is {size}")
    return MaskedImages(images, ratio, seed, mask=known, per_channel=per_channel)[0]


def _images(image: str | Path | npt.ArrayLike) -> Images:
    if not isinstance(image, str | Path):
        return Images([pixels_of(image)], ["image"])
    found = read_images(Path(image))
    if len(found.pixels) != 1:
        raise UsageError(f"{image}: holds {len(found.pixels)} images, expected one; datamodules.ImageFolder takes many")
    return found
