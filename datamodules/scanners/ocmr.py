"""OCMR, raw data of cardiac cine MRI."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.loading.data_module import Split
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.raw_series import RawSeries
from datamodules.scanners.scanned_cines import ScannedCines
from datamodules.scanners.splits import OCMR_SPLIT, hashed_split, read_split
from lowrank_unroll.sample import Sample
from lowrank_unroll.terminal import say


class OCMR(ScannedCines):
    """Fully sampled cines of OCMR (Chen et al., arXiv 2008.03410), every slice and average of each `fs_*.h5` file.

    The 74 files of the first release are split as in arXiv 2411.14141 (124, 40 and 40 slices); others by a hash of
    their name in the same proportions.

    Args:
        root: folder of the raw files; prepared files go into the folder `prepared` in it.
        split_file: a CSV file with columns `file` and `split` ("train", "val" or "test") to use instead.
        kwargs: see :class:`ScannedCines`.
    """

    pattern_of_files = "fs_*.h5"

    def __init__(self, root: Path = Path("data/ocmr"), split_file: Path | None = None, **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        self.split_file = Path(split_file or OCMR_SPLIT)

    def prepare_data(self) -> None:
        """Prepare raw files as :class:`ScannedCines` does, and print which files of the split are missing.

        Raises:
            FileNotFoundError: if there is no raw file at all.
            ISMRMRDError: if one cannot be assembled; the others are kept.
        """
        files = {file.name for file in self.files.raw_files()} if self.splits_to_prepare() else set()
        if files and (missing := sorted(read_split(self.split_file).keys() - files)):
            names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")  # noqa: PLR2004
            say(f"{len(missing)} files of {self.split_file.name} are not in {self.root}: {names}")
        super().prepare_data()

    @staticmethod
    def read(raw: Path, coils: Coils) -> Iterator[Sample]:
        """Yield the series of a raw file: its slices and averages, repetitions, sets and contrasts.

        Raises:
            DataError: if the file cannot be assembled.
        """
        series = RawSeries(raw, coils)
        yield from map(series.__getitem__, range(len(series)))

    def split_of(self, raw: Path) -> Split:
        """Return the split in the split file, or else by a hash of the name."""
        return read_split(self.split_file).get(raw.name, hashed_split(raw.name))
