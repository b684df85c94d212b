"""Raw files of a scanner, each prepared once into a file of its own."""

import multiprocessing
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import h5py
from rich.progress import track

from datamodules.dynamic_mri.hdf5_cache import hdf5_damage
from datamodules.dynamic_mri.series_data_module import SPLITS, SeriesDataModule
from datamodules.dynamic_mri.stored_frames import HDF5Frames
from datamodules.loading.caches import is_to_be_made
from datamodules.loading.data_module import STAGES, Split
from datamodules.loading.source_names import source_names
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import DataError, UsageError, first_line

PREPARED = "prepared"  # folder


class PreparedSeries:
    """One series in a prepared file.

    Args:
        file: with a group for each series.
        group: the group, with the arrays of the series.
        name: what to call the series.
    """

    def __init__(self, file: Path, group: str, name: str) -> None:
        self.file, self.group, self.name = file, group, name

    def frames(self, array: str) -> HDF5Frames:
        """An array of the series, which stays in the file.

        Raises:
            DataError: if the file is damaged; names it.
        """
        with _telling_damage(self.file):
            return HDF5Frames(self.file, f"{self.group}/{array}")


class PreparedFiles(SeriesDataModule):
    """Series in a scanner's raw files, each of which is prepared once; a file that is done is not done again.

    Args:
        root: folder of the raw files; what is prepared goes into the folder `prepared` in it.
        processes: how many files to prepare at once.
        kwargs: see :class:`SeriesDataModule`.

    Attributes:
        pattern_of_files: which files of the folder are raw files, with wildcards.

    Raises:
        ValueError: if a number is not positive.
    """

    pattern_of_files: str
    hint_of_files = ""  # what else an error says where there is none

    def __init__(self, root: Path, processes: int = 2, **kwargs: Any) -> None:
        check_at_least(1, processes=processes)
        super().__init__(**kwargs)
        self.root = Path(root)
        self.processes = processes

    @property
    @abstractmethod
    def name_of_preparation(self) -> str:
        """Everything that what is prepared depends on, as part of the name of a file."""

    @abstractmethod
    def preparation(self) -> Callable[[Path, Path], None]:
        """What prepares a raw file, the first, and writes the second; it can be sent to another process."""

    def is_raw(self, file: Path) -> bool:
        """Whether a file of the pattern is a raw file of the dataset."""
        return True

    @abstractmethod
    def split_of(self, raw: Path) -> Split:
        """Which split a raw file belongs to."""

    def raw_files(self) -> list[Path]:
        """All raw files, in order.

        Raises:
            FileNotFoundError: if there is none.
            UsageError: if one lies outside of the root.
        """
        found = sorted(self.root.glob(self.pattern_of_files))
        if outside := [file for file in found if ".." in file.relative_to(self.root).parts]:
            raise UsageError(
                f"{outside[0]} lies outside of {self.root}: give a --data.root that holds all files, and the rest of "
                "their paths as --data.files"
            )
        files = [file for file in found if not file.is_relative_to(self.root / PREPARED) and self.is_raw(file)]
        if not files:
            raise FileNotFoundError(
                f"no {self.pattern_of_files} file in {self.root.absolute()}: put the data of {type(self).__name__} "
                f"there, or say where they are with --data.root FOLDER{self.hint_of_files}"
            )
        return files

    def splits_to_prepare(self) -> tuple[Split, ...]:
        """Those that the stage needs; all where there is none, as for `lowrank-unroll prepare`."""
        stage = self.trainer.state.fn if self.trainer is not None else None
        return tuple(split for split in (STAGES[stage] if stage is not None else SPLITS) if split in SPLITS)

    def prepared(self, raw: Path) -> Path:
        """What is made of a raw file, and of no other: files of one name and different suffixes have one each."""
        name = raw.relative_to(self.root)
        return self.root / PREPARED / name.with_name(f"{name.name}_{self.name_of_preparation}.h5")

    def prepare_data(self) -> None:
        """Prepare the raw files that the stage needs and that are not prepared yet, or whose preparation is damaged.

        That is looked for thoroughly only where nothing else is to be done, since it takes as long as to read them all.

        Raises:
            FileNotFoundError: if there is no raw file at all.
            DataError: if one cannot be read; the others are kept.
        """
        splits = self.splits_to_prepare()
        if not splits:
            return
        damage = partial(hdf5_damage, thorough=self.trainer is None or self.trainer.state.fn is None)
        raw_files = [raw for raw in self.raw_files() if self.split_of(raw) in splits]
        todo = [raw for raw in raw_files if is_to_be_made(self.prepared(raw), damage)]
        if not todo:
            return
        # Spawned, since forking a process that has threads may hang it.
        with ProcessPoolExecutor(self.processes, multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(self.preparation(), raw, self.prepared(raw)) for raw in todo]
            try:
                for job in track(as_completed(jobs), f"Preparing {type(self).__name__}", total=len(jobs)):
                    job.result()
            except BrokenProcessPool as error:
                left = ", ".join(str(raw) for raw in todo if not self.prepared(raw).exists())
                raise DataError(f"reading ended the HDF5 library: one of {left:.500} seems to be damaged") from error

    def series(self, split: Split) -> list[PreparedSeries]:
        """The series in the prepared files of a split.

        Raises:
            DataError: if a file is damaged; names it.
        """
        files = self.raw_files()
        paths = [raw.relative_to(self.root) for raw in files]
        names = source_names(paths, [path.with_suffix("").as_posix() for path in paths])
        return [
            series
            for raw, name in zip(files, names, strict=True)
            if self.split_of(raw) == split
            for series in self._series_of(raw, name)
        ]

    def _series_of(self, raw: Path, source: str) -> list[PreparedSeries]:
        prepared = self.prepared(raw)
        with _telling_damage(prepared), h5py.File(prepared) as content:
            return [PreparedSeries(prepared, group, f"{source}/{group}") for group in sorted(content)]


@contextmanager
def _telling_damage(prepared: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # HDF5 raises errors of many unrelated classes
        raise DataError(
            f"{prepared} is damaged: {first_line(error)}. `lowrank-unroll prepare` makes it anew"
        ) from error
