"""What the datasets of raw data from scanners share: a cache of prepared files."""

import hashlib
import multiprocessing
from abc import abstractmethod
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import h5py
from rich.progress import track

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.dynamic_data_module import DynamicDataModule
from datamodules.dynamic_mri.hdf5_cache import hdf5_damage
from datamodules.dynamic_mri.stored_frames import HDF5Frames
from datamodules.loading.caches import is_to_be_made
from datamodules.loading.data_module import Split
from datamodules.scanners.preparation import SENSITIVITIES, SERIES, Preparation, Scan
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import DataError, first_line


class ScannedCines(DynamicDataModule):
    """Fully sampled cines from a scanner's raw files, undersampled retrospectively.

    Once, every slice of each raw file is combined from its coils, with sensitivities by ESPIRiT from the average over
    time; a file that is done is not done again. The measurement is then simulated from the series and the
    sensitivities.

    A dataset says which files are its own, how to read them, and which split each belongs to.

    Args:
        root: folder of the raw files; what is prepared goes into the folder `prepared` in it.
        multi_coil: measure by the coils of the file; if not, the combined series by a single coil.
        virtual_coils: compress the coils to so many before anything else; None keeps them all.
        processes: how many files to prepare at once.
        kwargs: see :class:`DynamicDataModule`; ``coils`` is not used.

    Raises:
        ValueError: if a number is not positive.
    """

    pattern_of_files: ClassVar[str]

    def __init__(
        self,
        root: Path,
        multi_coil: bool = True,
        virtual_coils: int | None = None,
        processes: int = 2,
        **kwargs: Any,
    ) -> None:
        check_at_least(1, processes=processes)
        super().__init__(**kwargs)
        self.root = Path(root)
        self.multi_coil = multi_coil
        self.preparation = Preparation(virtual_coils)
        self.processes = processes

    @staticmethod
    @abstractmethod
    def read(raw: Path) -> Iterator[Scan]:
        """The scans of a raw file."""

    @abstractmethod
    def split_of(self, raw: Path) -> Split:
        """Which split a raw file belongs to."""

    def raw_files(self) -> list[Path]:
        """All raw files, in order.

        Raises:
            FileNotFoundError: if there is none.
        """
        files = sorted(self.root.glob(self.pattern_of_files))
        if not files:
            raise FileNotFoundError(
                f"no {self.pattern_of_files} file in {self.root.absolute()}: download the fully sampled data of "
                f"{type(self).__name__} there, or say where they are with --data.root FOLDER"
            )
        return files

    def prepared(self, raw: Path) -> Path:
        """What is made of a raw file."""
        name = raw.relative_to(self.root).with_suffix("")
        return self.root / "prepared" / name.with_name(f"{name.name}_{self.preparation.name}.h5")

    def prepare_data(self) -> None:
        """Prepare the raw files that are not prepared yet, or whose preparation is damaged.

        That is looked for thoroughly only where nothing else is to be done, since it takes as long as to read them all.

        Raises:
            FileNotFoundError: if there is no raw file at all.
            DataError: if one cannot be read; the others are kept.
        """
        damage = partial(hdf5_damage, thorough=self.trainer is None or self.trainer.state.fn is None)
        todo = [raw for raw in self.raw_files() if is_to_be_made(self.prepared(raw), damage)]
        if not todo:
            return
        # Spawned, since forking a process that has threads may hang it.
        with ProcessPoolExecutor(self.processes, multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(self.preparation, self.read, raw, self.prepared(raw)) for raw in todo]
            for job in track(as_completed(jobs), f"Preparing {type(self).__name__}", total=len(jobs)):
                job.result()

    def cines(self, split: Split) -> list[Cine]:
        """The series of a split.

        Raises:
            DataError: if what was prepared is damaged; names the file.
        """
        return [cine for raw in self.raw_files() if self.split_of(raw) == split for cine in self._cines(raw)]

    def _cines(self, raw: Path) -> list[Cine]:
        prepared = self.prepared(raw)
        source = raw.relative_to(self.root).with_suffix("").as_posix()
        try:
            with h5py.File(prepared) as content:
                names = sorted(content)
            return [
                Cine(
                    HDF5Frames(prepared, f"{name}/{SERIES}"),
                    f"{source}/{name}",
                    HDF5Frames(prepared, f"{name}/{SENSITIVITIES}") if self.multi_coil else None,
                )
                for name in names
            ]
        except FileNotFoundError:
            raise
        except Exception as error:  # HDF5 raises errors of many unrelated classes
            raise DataError(
                f"{prepared} is damaged: {first_line(error)}. `lowrank-unroll prepare` makes it anew"
            ) from error


def hashed_split(name: str) -> Split:
    """A split that depends on a name alone, in the proportions of OCMR's: 124 to 40 to 40."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 204
    return "train" if number < 124 else "val" if number < 164 else "test"  # noqa: PLR2004
