"""Raw files of a scanner to train and test on, as they were measured."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from datamodules.dynamic_mri.crops import Crops, Window
from datamodules.dynamic_mri.series_data_module import SPLITS
from datamodules.loading.data_module import Split
from datamodules.scanners.measured_scans import MeasuredScan, MeasuredScans, check_fully_sampled
from datamodules.scanners.ocmr import OCMR
from datamodules.scanners.preparation import KSPACE, SAMPLED, SENSITIVITIES, name_of_preparation, prepare_kspace
from datamodules.scanners.prepared_files import PreparedFiles
from datamodules.scanners.splits import OCMR_SPLIT, hashed_split, read_split
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import SamplingPattern


class RawScans(PreparedFiles):
    """Series in ISMRMRD files, in the k-space that all coils measured.

    Fully sampled files are undersampled by a pattern, and what they are fully is the ground truth. Undersampled ones
    stay as they are: there is none, and networks are trained by self-supervision.

    Each file is prepared once: see :class:`RawSeries`; the sensitivities of fully sampled files are thus better than
    those of undersampled ones would be. The files are split as a table says, or by a hash of their name, or of their
    folder in the root, which may be a subject: three fifths for training.

    Args:
        root: folder of the raw files; what is prepared goes into the folder `prepared` in it.
        files: which of its files, with wildcards.
        pattern: to undersample fully sampled files by, a class of ``lowrank_unroll.sampling``; None for as measured.
        frames: frames of a crop to train on and to validate; None for all.
        crop: height of such a crop, along the readout; None for all. Its width is the whole phase encoding.
        crops_per_cine: crops of each series in an epoch of training, at random places.
        split_file: a CSV file with columns `file` and `split` ("train", "val" or "test"); None for that of OCMR.
        kwargs: see :class:`PreparedFiles`.

    Raises:
        ValueError: if a number is not positive.
    """

    hint_of_files = ", and which with --data.files '*.h5'"

    def __init__(
        self,
        root: Path = Path("data/ocmr"),
        files: str = "*.h5",
        pattern: SamplingPattern | None = None,
        frames: int | None = None,
        crop: int | None = None,
        crops_per_cine: int = 1,
        split_file: Path | None = None,
        **kwargs: Any,
    ) -> None:
        check_at_least(1, crop=crop)
        super().__init__(root, **kwargs)
        self.pattern_of_files = files
        self.pattern = pattern
        self.crops = Crops(Window(frames, crop, None), crops_per_cine)
        self.split_file = Path(split_file or OCMR_SPLIT)

    @property
    def name_of_preparation(self) -> str:
        """The version, and how coils are treated."""
        return name_of_preparation("kspace", self.raw_coils)

    def preparation(self) -> Callable[[Path, Path], None]:
        """Whiten the noise, leave out oversampling, and estimate sensitivities."""
        return partial(prepare_kspace, OCMR.read, self.raw_coils)

    def split_of(self, raw: Path) -> Split:
        """As the table says of the name, or of the path in the root; else by a hash of the folder, or of the name."""
        path = raw.relative_to(self.root)
        table = read_split(self.split_file)
        inside = path.parent.as_posix() if path.parent.parts else path.name
        return table.get(path.as_posix()) or table.get(path.name) or hashed_split(inside)

    def measured(self, split: Split) -> Dataset[Sample]:
        """The series of a split.

        Raises:
            UsageError: if no file belongs to it, or it is to be tested on without a ground truth, or to be undersampled
                though it is not fully sampled.
            DataError: if what was prepared is damaged; names the file.
        """
        if split == "test" and self.pattern is None:
            raise UsageError(
                "what was measured undersampled has no ground truth to test by: predict it, or give --data.pattern and "
                "fully sampled files"
            )
        series = self.series(split)
        if not series:
            raise UsageError(
                f"no {self.pattern_of_files} file in {self.root.absolute()} is for {split!r}: say which is, with "
                "--data.split_file FILE.csv, of the columns file and split"
            )
        scans = [
            MeasuredScan(one.name, one.frames(KSPACE), one.frames(SAMPLED), one.frames(SENSITIVITIES)) for one in series
        ]
        if self.pattern is not None:
            for scan in scans:
                check_fully_sampled(scan)
        crops = {"train": self.crops, "val": Crops(self.crops.window), "test": Crops()}[split]
        return MeasuredScans(scans, self.pattern, (self.seed, SPLITS[split]), crops)
