"""Base of the datasets of fully sampled cines in raw files of scanners."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.dynamic_data_module import DynamicDataModule
from datamodules.loading.data_module import Split
from datamodules.measured.coil_treatment import Coils
from datamodules.scanners.preparation import SENSITIVITIES, SERIES, cache_key, prepare_series
from datamodules.scanners.prepared_files import PreparedFiles
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.sample import Sample


class ScannedCines(DynamicDataModule):
    """Fully sampled cines from a scanner's raw files, undersampled retrospectively.

    Each raw file is prepared once: its coils are treated as ``raw_coils`` says, and every slice is combined from them,
    with sensitivities by ESPIRiT from the average over time. The measurement is then simulated from the series and the
    sensitivities. To undersample the k-space that the coils measured, see :class:`RawScans`.

    A dataset defines ``pattern_of_files``, :meth:`read` and :meth:`split_of`.

    Args:
        root: folder of the raw files; prepared files go into the folder `prepared` in it.
        multi_coil: measure by the coils of the file; if not, the combined series by a single coil.
        virtual_coils: deprecated, the same as ``virtual`` of ``raw_coils``.
        processes: number of files to prepare at once.
        kwargs: see :class:`DynamicDataModule`; ``coils`` is not used.

    Attributes:
        pattern_of_files: the raw files in the folder, with wildcards.

    Raises:
        ValueError: if a number is not positive.
    """

    pattern_of_files: str

    def __init__(
        self,
        root: Path,
        multi_coil: bool = True,
        virtual_coils: int | None = None,
        processes: int = 2,
        **kwargs: Any,
    ) -> None:
        check_at_least(1, virtual_coils=virtual_coils, processes=processes)
        super().__init__(**kwargs)
        self.root = Path(root)
        self.multi_coil = multi_coil
        self.processes = processes
        if virtual_coils is not None:
            warnings.warn("virtual_coils is now raw_coils.virtual", DeprecationWarning, stacklevel=3)
            self.raw_coils = replace(self.raw_coils, virtual=virtual_coils)

    @staticmethod
    @abstractmethod
    def read(raw: Path, coils: Coils) -> Iterator[Sample]:
        """Yield the series of a raw file, measured by all coils and treated."""

    @abstractmethod
    def split_of(self, raw: Path) -> Split:
        """Return the split of a raw file."""

    def is_raw(self, file: Path) -> bool:
        """Return whether a file of the pattern is a raw file of the dataset."""
        return True

    @property
    def files(self) -> PreparedFiles:
        """The raw files, and what is prepared of them."""
        return PreparedFiles(
            self.root,
            self.pattern_of_files,
            self.split_of,
            partial(prepare_series, self.read, self.raw_coils),
            cache_key("series", self.raw_coils),
            self.processes,
            self.is_raw,
            type(self).__name__,
        )

    def prepare_data(self) -> None:
        """Prepare the raw files that the stage needs and that are not prepared yet, or whose preparation is damaged.

        Checksums are compared only outside of a stage, as by `lowrank-unroll prepare`.

        Raises:
            FileNotFoundError: if there is no raw file at all.
            DataError: if one cannot be read; the others are kept.
        """
        if splits := self.splits_to_prepare():
            self.files.prepare_missing(splits, thorough=self.stage is None)

    def cines(self, split: Split) -> list[Cine]:
        """Return the series of a split.

        Raises:
            DataError: if a prepared file is damaged; names it.
        """
        return [
            Cine(one.array(SERIES), one.name, one.array(SENSITIVITIES) if self.multi_coil else None)
            for one in self.files.series(split)
        ]
