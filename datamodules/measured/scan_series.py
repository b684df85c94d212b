"""Base of the series in raw files of scanners, to reconstruct."""

from abc import abstractmethod
from collections.abc import Collection

import torch
from torch.utils.data import Dataset

from datamodules.measured.coil_treatment import Coils, CoilTreatment, Size
from datamodules.measured.ismrmrd.lines import SERIES_DIMS
from datamodules.measured.ismrmrd.scan_file import ScanFile
from lowrank_unroll.errors import DataError
from lowrank_unroll.sample import Sample


class ScanSeries(Dataset[Sample]):
    """The series of an ISMRMRD file: one for each slice, average, repetition, set and contrast.

    Args:
        file: the scan.
        coils: treatment of the coils.
        image: height and width.
        time: dims of the readouts of a series; each index of the others is one.
        name: prefix of the names of the series; None for the name of the file.

    Raises:
        FileNotFoundError: if a file that ``coils`` names does not exist.
        DataError: if the scan is of a volume instead of slices, or a given covariance or given sensitivities do not
            fit; names the file.
    """

    def __init__(
        self, file: ScanFile, coils: Coils, image: tuple[int, int], time: Collection[str], name: str | None
    ) -> None:
        sizes, path = file.sizes, file.path
        if sizes["kz"] > 1:
            raise DataError(
                f"{path}: is of a volume of {sizes['kz']} partitions, expected slices, each a series: if all are "
                "measured alike, Fourier transform k-space across the partitions, and store the slices it gives"
            )
        self.items = file.indices([dim for dim in (*SERIES_DIMS, "phase") if dim not in time])
        self.names = [f"{path.stem if name is None else name}/{file.name_of(item)}" for item in self.items]
        noise = file.noise() if coils.prewhiten and coils.noise_covariance is None else None
        self.treatment = CoilTreatment(
            coils,
            path,
            Size(sizes["slice"], sizes["coil"], *image),
            None if noise is None else torch.from_numpy(noise),
        )

    def __len__(self) -> int:
        """Return the number of series."""
        return len(self.items)

    @abstractmethod
    def __getitem__(self, index: int) -> Sample:
        """Read a series."""


def time_dim(file: ScanFile) -> str:
    """Return the dim of frames: the cardiac phases or, if there is only one, the repetitions."""
    phases, repetitions = (len(file.measured_at(dim)) for dim in ("phase", "repetition"))
    return "repetition" if phases == 1 < repetitions else "phase"
