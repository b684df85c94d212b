"""Dynamic k-space of hyperpolarised nuclei."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from datamodules.loading.crops import Crops, Window
from datamodules.loading.data_module import SPLITS, Split
from datamodules.loading.source_names import source_names
from datamodules.measured.matlab_series import MatlabSeries
from datamodules.measured.series_data_module import SeriesDataModule
from datamodules.scanners.kspace_dataset import KSpaceDataset, KSpaceSeries
from lowrank_unroll.checks import check_probability
from lowrank_unroll.errors import UsageError
from lowrank_unroll.names import one_line
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import SamplingPattern

logger = logging.getLogger(__name__)


class Carbon13(SeriesDataModule):
    """Dynamic k-space of hyperpolarised 13C and 15N, measured by a single coil, in MATLAB files.

    These are files of the hyperpolarized-mri-toolbox of LarsonLab (Milshteyn et al., J. Magn. Reson. 290, 46-59, 2018),
    which you download, or others of the form that :class:`MatlabSeries` reads.

    With a pattern, the series of fully sampled files are undersampled, and the image of all that was measured is the
    ground truth, noise included; files that were measured undersampled are left out, with a message in the log.
    Without, series stay as they were measured; there is no ground truth, and networks are trained by self-supervision.

    Of the series of a file the first, third and so on are for testing; the second, sixth and so on for training, and
    the rest for validation. A file of a single series is for testing.

    Args:
        root: folder of the files.
        files: those in it to train and test on, with wildcards.
        pattern: undersamples fully sampled files, a class of ``lowrank_unroll.sampling``; None for as measured.
        least_energy: of a series, as a share of that of the strongest in its file; weaker ones hold hardly anything but
            noise, and are only predicted.
        frames: frames of a crop to train on and to validate; None for all.
        crops_per_cine: crops of each series in an epoch of training, at random times.
        kwargs: see :class:`SeriesDataModule`; ``raw_coils`` is of no effect on MATLAB files.

    Raises:
        ValueError: if a number is outside its range.
    """

    def __init__(
        self,
        root: Path = Path("data/carbon13"),
        files: str = "*.mat",
        pattern: SamplingPattern | None = None,
        least_energy: float = 0.3,
        frames: int | None = None,
        crops_per_cine: int = 1,
        **kwargs: Any,
    ) -> None:
        check_probability(least_energy=least_energy)
        super().__init__(**kwargs)
        self.root, self.files = Path(root), files
        self.pattern = pattern
        self.least_energy = least_energy
        self.crops = Crops(Window(frames, None, None), crops_per_cine)

    def measured(self, split: Split) -> Dataset[Sample]:
        """Return the series of a split.

        Raises:
            FileNotFoundError: if there is no file.
            UsageError: if no series belongs to it; or for "test", if there is no pattern and so no ground truth.
            DataError: if a file cannot be read; names it.
        """
        if split == "test" and self.pattern is None:
            raise UsageError(
                "series as they were measured have no ground truth to test by: give --data.pattern, which undersamples "
                "fully sampled files, or predict"
            )
        scans = [scan for file in self._read() for scan in self._of_split(file, split)]
        if not scans:
            raise UsageError(
                f"no series of the {self.files} files in {self.root.absolute()} is for {split!r}: with --data.pattern "
                "these are those of fully sampled files; a file of a single series is for 'test'"
            )
        crops = self.crops.of_split(split)
        return KSpaceDataset(scans, self.pattern, (self.seed, SPLITS[split]), crops)

    def _read(self) -> Iterator[MatlabSeries]:
        """Yield the files; with a pattern, those that are fully sampled."""
        files = sorted(self.root.glob(self.files))
        if not files:
            raise FileNotFoundError(
                f"no {self.files} file in {self.root.absolute()}: put the files of the hyperpolarized-mri-toolbox "
                "there, or give their folder with --data.root FOLDER"
            )
        paths = [file.relative_to(self.root) for file in files]
        stems = [path.with_suffix("").as_posix() for path in paths]
        for file, name in zip(files, source_names(paths, stems), strict=True):
            series = MatlabSeries(file, name)
            if self.pattern is None or bool(series.sampled.all()):
                yield series
            else:
                logger.warning("%s was measured undersampled, and is left out", one_line(str(file)))

    def _of_split(self, file: MatlabSeries, split: Split) -> Iterator[KSpaceSeries]:
        strong = file.strong(self.least_energy)
        of_split = {"test": strong[::2], "train": strong[1::4], "val": strong[3::4]}[split]
        ones = torch.ones(1, *file.kspace.shape[2:], dtype=torch.complex64).numpy()
        for index in of_split:
            yield KSpaceSeries(file.names[index], file.kspace[index][None].numpy(), file.sampled.numpy(), ones)
