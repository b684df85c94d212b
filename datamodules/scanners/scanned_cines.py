"""What the datasets of fully sampled raw data from scanners share: series and sensitivities, prepared once."""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.coil_treatment import Coils
from datamodules.dynamic_mri.dynamic_data_module import DynamicDataModule
from datamodules.loading.data_module import Split
from datamodules.scanners.preparation import SENSITIVITIES, SERIES, name_of_preparation, prepare_series
from datamodules.scanners.prepared_files import PreparedFiles
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.sample import Sample


class ScannedCines(PreparedFiles, DynamicDataModule):
    """Fully sampled cines from a scanner's raw files, undersampled retrospectively.

    Once, the coils of each raw file are treated as ``raw_coils`` says, as those of any raw data are, and every slice is
    combined from them, with sensitivities by ESPIRiT from the average over time; a file that is done is not done
    again. The measurement is then simulated from the series and the sensitivities. To undersample what the coils
    measured, see :class:`RawScans`.

    A dataset says which files are its own, how to read them, and which split each belongs to.

    Args:
        root: folder of the raw files; what is prepared goes into the folder `prepared` in it.
        multi_coil: measure by the coils of the file; if not, the combined series by a single coil.
        virtual_coils: deprecated, the same as ``virtual`` of ``raw_coils``.
        kwargs: see :class:`PreparedFiles` and :class:`DynamicDataModule`; ``coils`` is not used.

    Raises:
        ValueError: if a number is not positive.
    """

    def __init__(self, root: Path, multi_coil: bool = True, virtual_coils: int | None = None, **kwargs: Any) -> None:
        check_at_least(1, virtual_coils=virtual_coils)
        super().__init__(root, **kwargs)
        self.multi_coil = multi_coil
        if virtual_coils is not None:
            warnings.warn("virtual_coils is now raw_coils.virtual", DeprecationWarning, stacklevel=3)
            self.raw_coils = replace(self.raw_coils, virtual=virtual_coils)

    @staticmethod
    @abstractmethod
    def read(raw: Path, coils: Coils) -> Iterator[Sample]:
        """The series of a raw file, measured by all coils and treated, one after the other."""

    @property
    def name_of_preparation(self) -> str:
        """The version, and how coils are treated."""
        return name_of_preparation("series", self.raw_coils)

    def preparation(self) -> Callable[[Path, Path], None]:
        """Combine the coils of each series."""
        return partial(prepare_series, self.read, self.raw_coils)

    def cines(self, split: Split) -> list[Cine]:
        """The series of a split.

        Raises:
            DataError: if what was prepared is damaged; names the file.
        """
        return [
            Cine(one.frames(SERIES), one.name, one.frames(SENSITIVITIES) if self.multi_coil else None)
            for one in self.series(split)
        ]
