"""Raw files of a scanner to train and test on, in the k-space that the coils measured."""

from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from datamodules.loading.crops import Crops, Window
from datamodules.loading.data_module import SPLITS, Split
from datamodules.measured.series_data_module import SeriesDataModule
from datamodules.scanners.kspace_dataset import KSpaceDataset, KSpaceSeries, check_fully_sampled
from datamodules.scanners.ocmr import OCMR
from datamodules.scanners.preparation import KSPACE, SAMPLED, SENSITIVITIES, cache_key, prepare_kspace
from datamodules.scanners.prepared_files import PreparedFiles
from datamodules.scanners.splits import OCMR_SPLIT, hashed_split, read_split
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import SamplingPattern


class RawScans(SeriesDataModule):
    """Series in ISMRMRD files, in the k-space that all coils measured.

    With a pattern, fully sampled files are undersampled, and the image of all that was measured is the ground truth.
    Without, files stay as they were sampled; there is no ground truth, and networks are trained by self-supervision.

    Each file is prepared once: the noise is whitened, readout oversampling is removed, and sensitivities are estimated
    (see :class:`RawSeries`), those of fully sampled files from all samples. A table assigns files to splits. A file
    that is not in it is assigned by a hash of its folder in the root, which may be a subject, or of its name if it lies
    in the root itself: three fifths to training.

    Args:
        root: folder of the raw files; prepared files go into the folder `prepared` in it.
        files: the raw files in it, with wildcards.
        pattern: undersamples fully sampled files, a class of ``lowrank_unroll.sampling``; None for as measured.
        frames: frames of a crop to train on and to validate; None for all.
        crop: height of such a crop, along the readout; None for all. Its width is the whole phase encoding.
        crops_per_cine: crops of each series in an epoch of training, at random places.
        split_file: a CSV file with columns `file` and `split` ("train", "val" or "test"); None for that of OCMR.
        processes: number of files to prepare at once.
        kwargs: see :class:`SeriesDataModule`.

    Raises:
        ValueError: if a number is not positive.
    """

    def __init__(
        self,
        root: Path = Path("data/ocmr"),
        files: str = "*.h5",
        pattern: SamplingPattern | None = None,
        frames: int | None = None,
        crop: int | None = None,
        crops_per_cine: int = 1,
        split_file: Path | None = None,
        processes: int = 2,
        **kwargs: Any,
    ) -> None:
        check_at_least(1, crop=crop, processes=processes)
        super().__init__(**kwargs)
        self.root = Path(root)
        self.pattern_of_files = files
        self.pattern = pattern
        self.crops = Crops(Window(frames, crop, None), crops_per_cine)
        self.split_file = Path(split_file or OCMR_SPLIT)
        self.processes = processes

    @property
    def files(self) -> PreparedFiles:
        """The raw files, and what is prepared of them."""
        return PreparedFiles(
            self.root,
            self.pattern_of_files,
            self.split_of,
            partial(prepare_kspace, OCMR.read, self.raw_coils),
            cache_key("kspace", self.raw_coils),
            self.processes,
            dataset=type(self).__name__,
            hint=", and their names with --data.files '*.h5'",
        )

    def prepare_data(self) -> None:
        """Prepare raw files as :meth:`ScannedCines.prepare_data` does, with the same errors."""
        if splits := self.splits_to_prepare():
            self.files.prepare_missing(splits, thorough=self.stage is None)

    def split_of(self, raw: Path) -> Split:
        """Return the split in the table, by the path in the root or the name; else by a hash of the folder or name."""
        path = raw.relative_to(self.root)
        table = read_split(self.split_file)
        inside = path.parent.as_posix() if path.parent.parts else path.name
        return table.get(path.as_posix()) or table.get(path.name) or hashed_split(inside)

    def measured(self, split: Split) -> Dataset[Sample]:
        """Return the series of a split.

        Raises:
            UsageError: if no file belongs to it; for "test", if there is no pattern and so no ground truth; or if a
                series to undersample is not fully sampled.
            DataError: if a prepared file is damaged; names it.
        """
        if split == "test" and self.pattern is None:
            raise UsageError(
                "what was measured undersampled has no ground truth to test by: predict it, or give --data.pattern and "
                "fully sampled files"
            )
        series = self.files.series(split)
        if not series:
            raise UsageError(
                f"no {self.pattern_of_files} file in {self.root.absolute()} is for {split!r}: assign one with "
                "--data.split_file FILE.csv, which has the columns file and split"
            )
        scans = [
            KSpaceSeries(one.name, one.array(KSPACE), one.array(SAMPLED), one.array(SENSITIVITIES)) for one in series
        ]
        if self.pattern is not None:
            for scan in scans:
                check_fully_sampled(scan)
        crops = self.crops.of_split(split)
        return KSpaceDataset(scans, self.pattern, (self.seed, SPLITS[split]), crops)
