"""A simulated beating heart: training and testing on dynamic MRI without a download."""

from pathlib import Path
from typing import Any, ClassVar

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.dynamic_data_module import DynamicDataModule
from datamodules.dynamic_mri.phantom_files import PhantomFiles
from datamodules.loading.data_module import Split


class CinePhantom(DynamicDataModule):
    """Synthetic cardiac cines, drawn once into an HDF5 file per split and measured by several coils with noise.

    Args:
        size: time, height and width of a series.
        train_series: number of series to train on.
        val_series: number of series to choose the best checkpoint by.
        test_series: number of series to test on.
        root: folder of the files; 1.2 MB per series of 16 x 96 x 96, and as much memory while a file is made.
        coils: number of simulated receive coils; or the smallest and largest number, see :class:`Acquisition`.
        snr: signal-to-noise ratio of the simulated measurement, None for no noise; or the smallest and largest, see
            :class:`Acquisition`.
        kwargs: see :class:`DynamicDataModule`; the hearts, too, depend on ``seed``.

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
        coils: int | tuple[int, int] = 4,
        snr: float | tuple[float, float] | None = 50.0,
        **kwargs: Any,
    ) -> None:
        hearts = PhantomFiles(size, train_series, val_series, test_series, root)
        super().__init__(coils=coils, snr=snr, **kwargs)
        self.hearts = hearts
        self.size, self.series, self.root = hearts.size, hearts.series, hearts.root

    def file(self, split: Split) -> Path:
        """Return the file of the series of a split, whose name has everything they depend on."""
        return self.hearts.file(split, self.seed)

    def prepare_data(self) -> None:
        """Draw the series that the stage needs, unless that is done and undamaged.

        Raises:
            OSError: if a file cannot be written, such as when the disk is full; names it.
        """
        self.hearts.draw(self.splits_to_prepare(), self.seed)

    def cines(self, split: Split) -> list[Cine]:
        """Return the series of a split."""
        return self.hearts.cines(split, self.seed)
