"""What the datasets of fully sampled raw data from scanners share: series and sensitivities, prepared once."""

from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.dynamic_data_module import DynamicDataModule
from datamodules.loading.data_module import Split
from datamodules.scanners.preparation import SENSITIVITIES, SERIES, Preparation, Scan
from datamodules.scanners.prepared_files import PreparedFiles


class ScannedCines(PreparedFiles, DynamicDataModule):
    """Fully sampled cines from a scanner's raw files, undersampled retrospectively.

    Once, every slice of each raw file is combined from its coils, with sensitivities by ESPIRiT from the average over
    time; a file that is done is not done again. The measurement is then simulated from the series and the
    sensitivities. To undersample what the coils measured, see :class:`RawScans`.

    A dataset says which files are its own, how to read them, and which split each belongs to.

    Args:
        root: folder of the raw files; what is prepared goes into the folder `prepared` in it.
        multi_coil: measure by the coils of the file; if not, the combined series by a single coil.
        virtual_coils: compress the coils to so many before anything else; None keeps them all.
        kwargs: see :class:`PreparedFiles` and :class:`DynamicDataModule`; ``coils`` is not used.

    Raises:
        ValueError: if a number is not positive.
    """

    def __init__(self, root: Path, multi_coil: bool = True, virtual_coils: int | None = None, **kwargs: Any) -> None:
        super().__init__(root, **kwargs)
        self.multi_coil = multi_coil
        self.combination = Preparation(virtual_coils)

    @staticmethod
    @abstractmethod
    def read(raw: Path) -> Iterator[Scan]:
        """The scans of a raw file."""

    @property
    def name_of_preparation(self) -> str:
        """The version, and the number of virtual coils."""
        return self.combination.name

    def preparation(self) -> Callable[[Path, Path], None]:
        """Combine the coils of each scan."""
        return partial(self.combination, self.read)

    def cines(self, split: Split) -> list[Cine]:
        """The series of a split.

        Raises:
            DataError: if what was prepared is damaged; names the file.
        """
        return [
            Cine(one.frames(SERIES), one.name, one.frames(SENSITIVITIES) if self.multi_coil else None)
            for one in self.series(split)
        ]
