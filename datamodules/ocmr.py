"""OCMR, raw data of cardiac cine MRI."""

import csv
import hashlib
import multiprocessing
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, ClassVar, cast

import h5py
from rich.console import Console
from rich.progress import track

from datamodules.base import Split
from datamodules.cines import Cine
from datamodules.dynamic import DynamicDataModule
from datamodules.hdf5_frames import HDF5Frames
from datamodules.ocmr_preparation import SENSITIVITIES, SERIES, VERSION, prepare

ORIGINAL_SPLIT = Path(__file__).with_name("ocmr_split.csv")


class OCMR(DynamicDataModule):
    """The fully sampled cines of OCMR (Chen et al., arXiv 2008.03410), undersampled retrospectively.

    Once, every slice and average of each `fs_*.h5` file is combined from its coils, with sensitivities by ESPIRiT from
    the average over time; a file that is done is not done again. The measurement is then simulated from the series and
    the sensitivities.

    The 74 files of the first release are split as in arXiv 2411.14141 (124, 40 and 40 slices); others by a hash of
    their name in the same proportions.

    Args:
        root: folder of the raw files.
        split_file: a CSV file with columns `file` and `split` ("train", "val" or "test") to use instead.
        multi_coil: measure by the coils of the file; if not, the combined series by a single coil.
        processes: how many files to prepare at once.
        kwargs: see :class:`DynamicDataModule`; ``coils`` is not used.
    """

    pattern_of_files: ClassVar[str] = "fs_*.h5"

    def __init__(
        self,
        root: Path = Path("data/ocmr"),
        split_file: Path | None = None,
        multi_coil: bool = True,
        processes: int = 2,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.root = Path(root)
        self.split_file = Path(split_file or ORIGINAL_SPLIT)
        self.multi_coil = multi_coil
        self.processes = processes

    def prepare_data(self) -> None:
        """Prepare the files that are not prepared yet, and say which of the split are missing.

        Raises:
            FileNotFoundError: if there is no file at all.
            ISMRMRDError: if one cannot be assembled; the others are kept.
        """
        files = self._files()
        if missing := sorted(read_split(self.split_file).keys() - {file.name for file in files}):
            names = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")  # noqa: PLR2004
            Console().print(f"{len(missing)} files of {self.split_file.name} are not in {self.root}: {names}")
        todo = [file for file in files if not self.prepared(file).exists()]
        if not todo:
            return
        # Spawned, since forking a process that has threads may hang it.
        with ProcessPoolExecutor(self.processes, multiprocessing.get_context("spawn")) as pool:
            jobs = [pool.submit(prepare, file, self.prepared(file)) for file in todo]
            for job in track(as_completed(jobs), "Preparing OCMR", total=len(jobs)):
                job.result()

    def prepared(self, raw: Path) -> Path:
        """What is made of a raw file."""
        return self.root / "prepared" / f"{raw.stem}_version{VERSION}.h5"

    def cines(self, split: Split) -> list[Cine]:
        """The slices and averages of a split."""
        splits = read_split(self.split_file)
        return [
            cine
            for raw in self._files()
            if splits.get(raw.name, hashed_split(raw.name)) == split
            for cine in self._cines(raw)
        ]

    def _files(self) -> list[Path]:
        files = sorted(self.root.glob(self.pattern_of_files))
        if not files:
            raise FileNotFoundError(
                f"no {self.pattern_of_files} file in {self.root.absolute()}: download OCMR's fully sampled data there, "
                "or say where they are with --data.root FOLDER"
            )
        return files

    def _cines(self, raw: Path) -> list[Cine]:
        prepared = self.prepared(raw)
        with h5py.File(prepared) as content:
            names = sorted(content)
        return [
            Cine(
                HDF5Frames(prepared, f"{name}/{SERIES}"),
                f"{raw.stem}/{name}",
                HDF5Frames(prepared, f"{name}/{SENSITIVITIES}") if self.multi_coil else None,
            )
            for name in names
        ]


def read_split(path: Path) -> Mapping[str, Split]:
    """The split of each file that a CSV file with columns `file` and `split` names.

    Raises:
        ValueError: if a column is missing or a split is none of the three; names the file.
    """
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    splits = {row.get("file", ""): row.get("split", "") for row in rows}
    if wrong := set(splits.values()) - {"train", "val", "test"}:
        raise ValueError(f"{path}: the split is {min(wrong)!r}, expected 'train', 'val' or 'test'")
    return cast("Mapping[str, Split]", splits)


def hashed_split(name: str) -> Split:
    """The split of a file outside the list: the same everywhere, in proportions of 124 to 40 to 40."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 204
    return "train" if number < 124 else "val" if number < 164 else "test"  # noqa: PLR2004
