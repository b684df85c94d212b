"""Base of the DataModules of multi- and hyperspectral cubes."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datamodules.loading.data_module import Split
from datamodules.loading.patches_data_module import PatchesDataModule
from datamodules.spectral.cube import Cube, check_same_bands
from datamodules.spectral.cube_files import read_cubes, read_mask
from datamodules.spectral.masked_cubes import MaskedCubes
from lowrank_unroll.checks import check_at_least, check_not_negative
from lowrank_unroll.sampling import SamplingPattern, Uniform


class SpectralDataModule(PatchesDataModule[Sequence[Cube]]):
    """Multi- and hyperspectral cubes, of which a part of the values, bands or pixels is measured.

    Training samples are patches with all bands and fresh masks in each epoch; validation samples are patches and test
    samples whole cubes, which are the same in each epoch. Each cube is divided by its largest value.

    Args:
        pattern: the sampling pattern of (band, height, width): ``Uniform`` for values, each band its own,
            ``SharedPixels`` for pixels, the same in all bands, ``WholeBands`` for bands.
        bands: how many bands to use, evenly spaced from the first to the last; None for all.
        noise: standard deviation of the noise of measured values, a share of the cube's largest value.
        patch_size: side of the patches of training and validation, in pixels.
        patches_per_cube: patches of each cube in an epoch of training.
        predict_cubes: for ``predict``, a file of a cube or a folder of them, see :class:`SpectralCubes`.
        predict_mask: for ``predict``, a .npy file (height, width), or with the spectrum as a third dim, that is not
            zero where the cubes are measured; the pattern if it is not given.
        band_axis: dim of the arrays of .npy, .mat and HDF5 that is the spectrum.
        variable: name of the array, in files that hold several of three dims; None for the only one.
        batch_size: samples in a batch of training and validation.
        kwargs: see :class:`ReconstructionDataModule`.

    Raises:
        ValueError: if the noise is negative, or another number is too small.
    """

    predict_argument = "predict_cubes"
    val_patches_per_cube = 1

    def __init__(
        self,
        pattern: SamplingPattern = Uniform(0.1),  # noqa: B008  immutable
        bands: int | None = None,
        noise: float = 0.0,
        patch_size: int = 32,
        patches_per_cube: int = 1,
        predict_cubes: Path | None = None,
        predict_mask: Path | None = None,
        band_axis: int = -1,
        variable: str | None = None,
        batch_size: int = 16,
        **kwargs: Any,
    ) -> None:
        check_at_least(1, bands=bands, patches_per_cube=patches_per_cube)
        check_not_negative(noise=noise)
        super().__init__(
            patch_size=patch_size,
            patches=patches_per_cube,
            predict_path=predict_cubes,
            predict_mask=predict_mask,
            batch_size=batch_size,
            **kwargs,
        )
        self.pattern = pattern
        self.bands = bands
        self.noise = noise
        self.band_axis = band_axis
        self.variable = variable

    @abstractmethod
    def cubes(self, split: Split) -> Sequence[Cube]:
        """Return the cubes of "train", "val" or "test"."""

    def read_cubes(self, path: Path) -> list[Cube]:
        """Read a file or a folder as the arguments say."""
        return read_cubes(path, self.band_axis, self.variable, self.bands)

    @property
    def val_patches(self) -> int:
        """Patches of each cube to validate on."""
        return self.val_patches_per_cube

    def whole_images(self, split: Split) -> Sequence[Cube]:
        """Return the cubes of a split.

        Raises:
            UsageError: if cubes to train on differ in their number of bands.
        """
        cubes = self.cubes(split)
        if split != "test":
            check_same_bands(cubes)
        return cubes

    def predicted(self, path: Path, mask: Path | None) -> MaskedCubes:
        """Read and measure the cubes to predict."""
        known = None if mask is None else read_mask(mask, self.band_axis)
        return MaskedCubes(self.read_cubes(path), self.pattern, self.seed, noise=self.noise, mask=known)

    def measured(self, images: Sequence[Cube], split: Split, patch_size: int | None, patches: int) -> MaskedCubes:
        """Measure cubes, or patches of them, as many of each."""
        return MaskedCubes(images, self.pattern, self.seed, patch_size, patches, self.noise)
