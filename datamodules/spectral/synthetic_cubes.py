"""Synthetic cubes: training and testing without a download."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from datamodules.loading.data_module import SPLITS, Split
from datamodules.loading.drawn_datasets import generator_of
from datamodules.spectral.cube import BandsFirst, Cube, checked_cube
from datamodules.spectral.spectral_data_module import SpectralDataModule
from lowrank_unroll.checks import check_at_least, check_sides

REGION = 12  # pixels, about, of a region of one material
CONTRAST = 6.0  # of the logits of abundances: regions are nearly pure, their borders mixed
BUMPS = 3  # absorption and reflection bands of a spectrum
TEXTURE = 0.04  # standard deviation of the brightness of a pixel, relative


class SyntheticCubes(SpectralDataModule):
    """Cubes of a few materials with smooth spectra, mixed linearly by their abundances in each pixel.

    The linear mixing model (Keshava & Mustard, IEEE Signal Process. Mag. 2002): the unfolding along the spectrum has
    the rank of the number of materials. Regions are nearly pure, and the brightness of pixels varies.

    Args:
        size: bands, height and width of a cube.
        materials: number of materials, anew in each cube.
        train_cubes: number of cubes to train on.
        val_cubes: number of cubes to choose the best checkpoint by.
        test_cubes: number of cubes to test on.
        patches_per_cube: patches of each cube in an epoch of training.
        kwargs: see :class:`SpectralDataModule`.

    Raises:
        ValueError: if a number is too small.
    """

    val_patches_per_cube = 8

    def __init__(
        self,
        size: tuple[int, int, int] = (16, 64, 64),
        materials: int = 5,
        train_cubes: int = 8,
        val_cubes: int = 2,
        test_cubes: int = 3,
        patches_per_cube: int = 96,
        **kwargs: Any,
    ) -> None:
        check_sides("band, height, width", size=size)
        check_at_least(1, materials=materials, train_cubes=train_cubes, val_cubes=val_cubes, test_cubes=test_cubes)
        super().__init__(patches_per_cube=patches_per_cube, **kwargs)
        self.size = size
        self.materials = materials
        self.numbers: dict[Split, int] = {"train": train_cubes, "val": val_cubes, "test": test_cubes}

    def cubes(self, split: Split) -> Sequence[Cube]:
        """Draw the cubes of a split."""
        return [self._cube(split, number) for number in range(self.numbers[split])]

    def _cube(self, split: Split, number: int) -> Cube:
        values = draw_cube(self.size, self.materials, generator_of(self.seed, SPLITS[split], number))
        name = f"{split}{number}"
        return checked_cube(BandsFirst(values.numpy(), (0, 1, 2)), name, name, self.bands, "synthetic")


def draw_cube(size: tuple[int, int, int], materials: int, generator: torch.Generator) -> Tensor:
    """Draw a cube.

    Args:
        size: bands, height and width.
        materials: number of materials.
        generator: the source of all randomness.

    Returns:
        Reflectances (band, height, width), float32, in (0, 1.5).
    """
    bands, height, width = size
    abundances = _smooth_fields(materials, (height, width), generator).mul(CONTRAST).softmax(0)
    spectra = _spectra(materials, bands, generator)
    brightness = 1 + TEXTURE * torch.randn(height, width, generator=generator).clamp(-3, 3)
    return torch.einsum("mb,mhw->bhw", spectra, abundances) * brightness


def _smooth_fields(number: int, size: tuple[int, int], generator: torch.Generator) -> Tensor:
    """Return random fields (number, height, width) of about unit variance, smooth over a region."""
    coarse = [side // REGION + 2 for side in size]
    fields = torch.randn(1, number, *coarse, generator=generator)
    return interpolate(fields, size, mode="bicubic", align_corners=True)[0]


def _spectra(number: int, bands: int, generator: torch.Generator) -> Tensor:
    """Return reflectances (number, band) in (0, 1]: a level, and Gaussian bumps of a random place, width and height."""
    position = torch.linspace(0, 1, bands)
    place, width, height = (torch.rand(number, BUMPS, 1, generator=generator) for _ in range(3))
    bumps = (height - 0.3) * torch.exp(-((position - place) ** 2) / (2 * (0.05 + 0.2 * width) ** 2))
    level = 0.4 + 0.3 * torch.rand(number, 1, generator=generator)
    return (level + 0.4 * bumps.sum(1)).clamp(0.05, 1)
