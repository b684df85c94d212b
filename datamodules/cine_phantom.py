"""A simulated beating heart: training and testing on dynamic MRI without a download."""

from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import torch
from rich.progress import track

from datamodules.base import Split
from datamodules.cines import Cine, read_cines
from datamodules.dynamic import DynamicDataModule
from datamodules.phantom import beating_heart
from lowrank_unroll.files import written_whole

# Part of the name of the cache: to be raised when beating_heart() draws other series.
VERSION = 1


class CinePhantom(DynamicDataModule):
    """Synthetic cardiac cines, drawn once per seed into an HDF5 file and measured by several coils with noise.

    Args:
        size: time, height and width of a series.
        train_series: how many to train on.
        val_series: how many to choose the best checkpoint by.
        test_series: how many to test on.
        root: folder of the file; 1 MB per series of 16 x 96 x 96.
        coils: how many receive coils are simulated.
        snr: signal-to-noise ratio of the simulated measurement; None for no noise.
        kwargs: see :class:`DynamicDataModule`.
    """

    origin: ClassVar[str] = "synthetic"

    def __init__(
        self,
        size: tuple[int, int, int] = (16, 96, 96),
        train_series: int = 64,
        val_series: int = 4,
        test_series: int = 6,
        root: Path = Path("data/cine_phantom"),
        coils: int = 4,
        snr: float | None = 50.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(coils=coils, snr=snr, **kwargs)
        self.size = size
        self.series: dict[Split, int] = {"train": train_series, "val": val_series, "test": test_series}
        self.root = Path(root)

    @property
    def file(self) -> Path:
        """The file of all series; its name says everything they depend on."""
        size = "x".join(map(str, self.size))
        series = "-".join(map(str, self.series.values()))
        return self.root / f"version{VERSION}_seed{self.seed}_{size}_{series}.h5"

    def prepare_data(self) -> None:
        """Draw the series, unless that is done."""
        if self.file.exists():
            return
        names = [f"{split}/{index:04d}" for split, count in self.series.items() for index in range(count)]
        with written_whole(self.file) as temporary, h5py.File(temporary, "w") as content:
            for number, name in enumerate(track(names, description="Drawing beating hearts", transient=True)):
                generator = torch.Generator().manual_seed(_mixed(self.seed, number))
                content.create_dataset(name, data=beating_heart(self.size, generator).numpy())

    def cines(self, split: Split) -> list[Cine]:
        """The series of a split."""
        return [cine for cine in read_cines(self.file) if cine.name.startswith(f"{split}/")]


def _mixed(seed: int, number: int) -> int:
    """A seed made of two numbers; the generator keeps 32 bits of it."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
