"""A simulated beating heart with noise: training and testing of denoising without a download."""

from pathlib import Path
from typing import Any, ClassVar

from datamodules.denoising.denoising_data_module import DenoisingDataModule
from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.phantom_files import PhantomFiles
from datamodules.loading.data_module import Split


class NoisyPhantom(DenoisingDataModule):
    """Synthetic cardiac cines, drawn once into an HDF5 file per split, with noise.

    Args:
        size: time, height and width of a series.
        train_series: number of series to train on.
        val_series: number of series to choose the best checkpoint by.
        test_series: number of series to test on.
        root: folder of the files, which :class:`CinePhantom` shares.
        kwargs: see :class:`DenoisingDataModule`; the hearts, too, depend on ``seed``.

    Raises:
        ValueError: if a size or a number is not positive.
    """

    origin: ClassVar[str] = "synthetic"

    def __init__(
        self,
        size: tuple[int, int, int] = (16, 96, 96),
        train_series: int = 64,
        val_series: int = 4,
        test_series: int = 6,
        root: Path = Path("data/cine_phantom"),
        **kwargs: Any,
    ) -> None:
        hearts = PhantomFiles(size, train_series, val_series, test_series, root)
        super().__init__(**kwargs)
        self.hearts = hearts

    def prepare_data(self) -> None:
        """Draw the series that the stage needs, unless that is done and undamaged.

        Raises:
            OSError: if a file cannot be written, such as when the disk is full; names it.
        """
        self.hearts.draw(self.splits_to_prepare(), self.seed)

    def cines(self, split: Split) -> list[Cine]:
        """Return the series of a split."""
        return self.hearts.cines(split, self.seed)
