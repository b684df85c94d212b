"""A simulated beating heart: training and testing on dynamic MRI without a download."""

from pathlib import Path
from typing import Any, ClassVar

from rich.progress import track

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.cine_files import read_cines
from datamodules.dynamic_mri.dynamic_data_module import DynamicDataModule
from datamodules.dynamic_mri.phantom import beating_heart
from datamodules.loading.caches import hdf5_damage, needs_build, write_hdf5
from datamodules.loading.data_module import Split
from datamodules.loading.drawn_datasets import generator_of
from datamodules.measured.series_data_module import SPLITS
from lowrank_unroll.checks import check_at_least, check_sides

# Part of the names of the files: to be raised when beating_heart() draws other series, or the format changes.
VERSION = 2
HEART = 1  # part of the seed, so that heart and measurement have different random numbers


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
        check_sides("time, height, width", size=size)
        check_at_least(1, train_series=train_series, val_series=val_series, test_series=test_series)
        super().__init__(coils=coils, snr=snr, **kwargs)
        self.size = size
        self.series: dict[Split, int] = {"train": train_series, "val": val_series, "test": test_series}
        self.root = Path(root)

    def file(self, split: Split) -> Path:
        """Return the file of the series of a split, whose name has everything they depend on."""
        size = "x".join(map(str, self.size))
        return self.root / f"version{VERSION}_seed{self.seed}_{size}_{split}{self.series[split]}.h5"

    def prepare_data(self) -> None:
        """Draw the series that the stage needs, unless that is done and undamaged.

        Raises:
            OSError: if a file cannot be written, such as when the disk is full; names it.
        """
        for split in self.splits_to_prepare():
            if needs_build(self.file(split), hdf5_damage):
                self._draw(split)

    def cines(self, split: Split) -> list[Cine]:
        """Return the series of a split."""
        return read_cines(self.file(split))

    def _draw(self, split: Split) -> None:
        # A series depends on the seed, its split and its index, not on the number of series.
        indices = track(range(self.series[split]), description=f"Drawing beating hearts ({split})", transient=True)
        hearts = (beating_heart(self.size, generator_of(self.seed, SPLITS[split], index, HEART)) for index in indices)
        write_hdf5(self.file(split), ((f"{split}/{index:04d}", heart.numpy()) for index, heart in enumerate(hearts)))
