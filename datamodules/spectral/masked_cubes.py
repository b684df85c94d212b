"""Randomly sampled cubes, as in compressed sensing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from datamodules.loading.crops import Crops, DrawnCrops, Window
from datamodules.loading.drawn_datasets import DrawnDataset
from datamodules.spectral.cube import BandsFirst, Cube, checked_cube
from datamodules.spectral.cube_files import read_cubes
from lowrank_unroll.checks import check_at_least, check_not_negative
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import SamplingPattern, Uniform


class MaskedCubes(DrawnDataset):
    """Cubes, or random patches of them with all bands, of which a part of the values is measured.

    A sample is a function of the seed and its draw: draws below the length are always the same samples; a draw beyond
    it is the cube at the draw modulo the length, with a fresh patch and mask.

    Args:
        cubes: scaled to a largest value of 1.
        pattern: sampling pattern of (band, height, width).
        seed: of patches, masks and noise.
        patch_size: side of a patch, in pixels; None for whole cubes.
        patches_per_cube: patches of each cube that the length counts.
        noise: standard deviation of the noise of measured values, a share of the largest value.
        mask: (1 or band, height, width), True where measured; None for the pattern.

    Raises:
        ValueError: if the noise is negative, or a number is too small.
        UsageError: if a cube is smaller than a patch, or not of the mask's size; names the cube.
    """

    def __init__(
        self,
        cubes: Sequence[Cube],
        pattern: SamplingPattern,
        seed: int,
        patch_size: int | None = None,
        patches_per_cube: int = 1,
        noise: float = 0.0,
        mask: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        check_at_least(1, patch_size=patch_size, patches_per_cube=patches_per_cube)
        check_not_negative(noise=noise)
        for cube in cubes:
            _check_size(cube, patch_size, mask)
        self.crops = DrawnCrops(cubes, [seed], Crops(Window(None, patch_size, patch_size), patches_per_cube))
        self.pattern, self.noise, self.mask = pattern, noise, mask

    def __len__(self) -> int:
        """Return the number of cubes times the patches of each."""
        return len(self.crops)

    def __getitem__(self, draw: int) -> Sample:
        """Return the sample of a draw: bands first, the cube's largest value 1."""
        cube, (_, rows, columns), name, generator = self.crops(draw)
        target = torch.from_numpy(cube.read(rows, columns) / np.float32(cube.largest)).contiguous()
        mask = self._mask(target, generator)
        noise = self.noise * torch.randn(target.shape, generator=generator) if self.noise else 0.0
        return Sample(
            measurement=(target + noise) * mask,
            target=target,
            mask=mask,
            coil_sensitivities=None,
            scale=torch.tensor(cube.largest),
            name=name,
            origin=cube.origin,
        )

    def _mask(self, target: Tensor, generator: torch.Generator) -> Tensor:
        if self.mask is not None:
            return torch.from_numpy(self.mask).expand_as(target).contiguous()
        return self.pattern(target.shape, generator)


def _check_size(cube: Cube, patch_size: int | None, mask: npt.NDArray[np.bool_] | None) -> None:
    bands, height, width = cube.shape
    if patch_size is not None and min(height, width) < patch_size:
        raise UsageError(
            f"cube {cube.name} is {height} x {width} pixels, smaller than patch_size {patch_size}: ask for less with "
            "--data.patch_size"
        )
    if mask is not None and (mask.shape[0] not in {1, bands} or mask.shape[1:] != (height, width)):
        raise UsageError(
            f"cube {cube.name} is {cube.shape} (band, height, width), but the mask is {mask.shape}: pass one of the "
            "same size with --data.predict_mask"
        )


def measure_cube(
    cube: str | Path | npt.ArrayLike,
    pattern: SamplingPattern = Uniform(0.1),  # noqa: B008  immutable
    *,
    noise: float = 0.0,
    seed: int = 0,
) -> Sample:
    """Measure a cube by a random mask, as the spectral DataModules do.

    Args:
        cube: a file of one cube, its spectrum the last dim; or an array (band, height, width) of real numbers.
        pattern: sampling pattern, such as ``Uniform``, ``SharedPixels`` or ``WholeBands``.
        noise: standard deviation of the noise of measured values, a share of the largest value.
        seed: of the mask and the noise.

    Returns:
        The sample without a batch dim; its images are (band, height, width), float32, the largest value 1.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if the file holds no cube, or a value is not finite; names it.
        UsageError: if a folder holds several.
        ValueError: if the array is no cube, or the noise is negative.
    """
    check_at_least(0, seed=seed)
    return MaskedCubes([_cube(cube)], pattern, seed, noise=noise)[0]


def _cube(cube: str | Path | npt.ArrayLike) -> Cube:
    if isinstance(cube, str | Path):
        found = read_cubes(Path(cube))
        if len(found) != 1:
            raise UsageError(f"{cube}: holds {len(found)} cubes, expected one; datamodules.SpectralCubes takes many")
        return found[0]
    array = np.asarray(cube)
    if array.ndim != 3 or array.dtype.kind not in "iuf" or not array.size:  # noqa: PLR2004
        raise ValueError(f"an array of shape {array.shape} and type {array.dtype}, expected (band, height, width)")
    return checked_cube(BandsFirst(array, (0, 1, 2)), "cube", "the cube")
