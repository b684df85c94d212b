"""Raw files of a scanner, each prepared once into a file of its own."""

import multiprocessing
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
from rich.progress import track

from datamodules.loading.caches import hdf5_damage, needs_build
from datamodules.loading.data_module import Split
from datamodules.loading.lazy_arrays import HDF5Array
from datamodules.loading.source_names import source_names
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import DataError, UsageError, first_line

PREPARED = "prepared"  # folder


class PreparedSeries:
    """One series in a prepared file.

    Args:
        file: with a group for each series.
        group: the group, with the arrays of the series.
        name: of the series.
    """

    def __init__(self, file: Path, group: str, name: str) -> None:
        self.file, self.group, self.name = file, group, name

    def array(self, key: str) -> HDF5Array:
        """Return an array of the series, which stays in the file.

        Raises:
            DataError: if the file is damaged; names it.
        """
        with _naming_damage(self.file):
            return HDF5Array(self.file, f"{self.group}/{key}")


@dataclass(frozen=True)
class PreparedFiles:
    """Raw files in a folder, each of which is prepared once, into a file in the folder `prepared` in it.

    Args:
        root: folder of the raw files.
        pattern: the raw files in it, with wildcards.
        split_of: returns the split of a raw file.
        prepare: reads a raw file, the first argument, and writes the prepared one, the second; runs in other processes.
        key: everything that prepared files depend on, as a part of their names.
        processes: number of files to prepare at once.
        is_raw: returns whether a file of the pattern is a raw file; None if all are.
        dataset: name of the dataset in messages.
        hint: advice that is added to the error if there is no raw file.

    Raises:
        ValueError: if ``processes`` is below 1.
    """

    root: Path
    pattern: str
    split_of: Callable[[Path], Split]
    prepare: Callable[[Path, Path], None]
    key: str
    processes: int = 2
    is_raw: Callable[[Path], bool] | None = None
    dataset: str = "the dataset"
    hint: str = ""

    def __post_init__(self) -> None:
        check_at_least(1, processes=self.processes)

    def raw_files(self) -> list[Path]:
        """Return all raw files, in order.

        Raises:
            FileNotFoundError: if there is none.
            UsageError: if one lies outside of the root.
        """
        found = sorted(self.root.glob(self.pattern))
        if outside := [file for file in found if ".." in file.relative_to(self.root).parts]:
            raise UsageError(
                f"{outside[0]} lies outside of {self.root}: give a --data.root that holds all files, and the rest of "
                "their paths as --data.files"
            )
        files = [file for file in found if not file.is_relative_to(self.root / PREPARED)]
        files = files if self.is_raw is None else list(filter(self.is_raw, files))
        if not files:
            raise FileNotFoundError(
                f"no {self.pattern} file in {self.root.absolute()}: put the data of {self.dataset} there, or give "
                f"their folder with --data.root FOLDER{self.hint}"
            )
        return files

    def prepared(self, raw: Path) -> Path:
        """Return the prepared file of a raw file; raw files that differ only in their suffix have different ones."""
        name = raw.relative_to(self.root)
        return self.root / PREPARED / name.with_name(f"{name.name}_{self.key}.h5")

    def prepare_missing(self, splits: Collection[Split], thorough: bool) -> None:
        """Prepare the raw files of some splits whose prepared file is missing or damaged.

        Args:
            splits: to prepare.
            thorough: compare all checksums of prepared files, which takes as long as to read them.

        Raises:
            FileNotFoundError: if there is no raw file at all.
            DataError: if one cannot be read; the others are kept.
        """
        damage = partial(hdf5_damage, thorough=thorough)
        raw_files = [raw for raw in self.raw_files() if self.split_of(raw) in splits]
        todo = [raw for raw in raw_files if needs_build(self.prepared(raw), damage)]
        if not todo:
            return
        # Spawned, since forking a process that has threads may hang it.
        with ProcessPoolExecutor(self.processes, multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(self.prepare, raw, self.prepared(raw)) for raw in todo]
            try:
                for job in track(as_completed(jobs), f"Preparing {self.dataset}", total=len(jobs)):
                    job.result()
            except BrokenProcessPool as error:
                left = ", ".join(str(raw) for raw in todo if not self.prepared(raw).exists())
                raise DataError(f"reading crashed the HDF5 library: one of {left:.500} seems to be damaged") from error

    def series(self, split: Split) -> list[PreparedSeries]:
        """Return the series in the prepared files of a split.

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
        with _naming_damage(prepared), h5py.File(prepared) as content:
            return [PreparedSeries(prepared, group, f"{source}/{group}") for group in sorted(content)]


@contextmanager
def _naming_damage(prepared: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except Exception as error:  # HDF5 raises errors of many unrelated classes
        raise DataError(
            f"{prepared} is damaged: {first_line(error)}. `lowrank-unroll prepare` makes it anew"
        ) from error
