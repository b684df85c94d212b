"""Files of simulated beating hearts, drawn once."""

from collections.abc import Iterable
from pathlib import Path

from rich.progress import track

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.cine_files import read_cines
from datamodules.dynamic_mri.phantom import beating_heart
from datamodules.loading.caches import hdf5_damage, needs_build, write_hdf5
from datamodules.loading.data_module import SPLITS, Split
from datamodules.loading.drawn_datasets import generator_of
from lowrank_unroll.checks import check_at_least, check_sides

# Part of the names of the files: to be raised when beating_heart() draws other series, or the format changes.
VERSION = 2
HEART = 1  # part of the seed, so that heart and measurement have different random numbers


class PhantomFiles:
    """An HDF5 file of simulated hearts for each split.

    Args:
        size: time, height and width of a series.
        train_series: number of series to train on.
        val_series: number of series to choose the best checkpoint by.
        test_series: number of series to test on.
        root: folder of the files.

    Raises:
        ValueError: if a size or a number is not positive.
    """

    def __init__(
        self, size: tuple[int, int, int], train_series: int, val_series: int, test_series: int, root: Path
    ) -> None:
        check_sides("time, height, width", size=size)
        check_at_least(1, train_series=train_series, val_series=val_series, test_series=test_series)
        self.size = size
        self.series: dict[Split, int] = {"train": train_series, "val": val_series, "test": test_series}
        self.root = Path(root)

    def file(self, split: Split, seed: int) -> Path:
        """Return the file of the series of a split, whose name has everything they depend on."""
        size = "x".join(map(str, self.size))
        return self.root / f"version{VERSION}_seed{seed}_{size}_{split}{self.series[split]}.h5"

    def cines(self, split: Split, seed: int) -> list[Cine]:
        """Return the series of a split."""
        return read_cines(self.file(split, seed))

    def draw(self, splits: Iterable[Split], seed: int) -> None:
        """Draw the series of some splits, unless that is done and undamaged.

        Raises:
            OSError: if a file cannot be written, such as when the disk is full; names it.
        """
        for split in splits:
            if needs_build(self.file(split, seed), hdf5_damage):
                self._draw(split, seed)

    def _draw(self, split: Split, seed: int) -> None:
        # A series depends on the seed, its split and its index, not on the number of series.
        indices = track(range(self.series[split]), description=f"Drawing beating hearts ({split})", transient=True)
        hearts = (beating_heart(self.size, generator_of(seed, SPLITS[split], index, HEART)) for index in indices)
        write_hdf5(
            self.file(split, seed), ((f"{split}/{index:04d}", heart.numpy()) for index, heart in enumerate(hearts))
        )
