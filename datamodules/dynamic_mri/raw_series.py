"""Series as a scanner measured them, to reconstruct."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from datamodules.dynamic_mri.acquisition import scaled
from datamodules.raw_data.coils import calibration_width, compress_coils, estimate_sensitivities, time_average
from datamodules.raw_data.ismrmrd import RawFile
from datamodules.raw_data.ismrmrd_lines import DIMS, ITEMS
from datamodules.raw_data.prewhitening import mix_coils, noise_covariance, whitening_matrix
from datamodules.raw_data.readout import narrow_readout
from datamodules.raw_data.scan_geometry import scan_geometry
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import DataError, first_line
from lowrank_unroll.sample import Sample

ALWAYS_NAMED = ("slice", "average")
WITHOUT_COILS = tuple(dim for dim in DIMS if dim != "coil")
SMALLEST, LARGEST = 1e-15, 1e15  # magnitudes whose squares, summed, are numbers of single precision
LEAST_CALIBRATION = 8  # rows and columns of the centre of k-space


@dataclass(frozen=True)
class Coils:
    """What is done with the coils of a raw file before it is reconstructed.

    Args:
        virtual: to how many the coils are compressed; None keeps all.
        prewhiten: whether to mix them so that the noise of all is white and alike, where a noise scan tells it.
        noise_covariance: a .npy file of the covariance (coil, coil) of their noise, in place of a noise scan.

    Raises:
        ValueError: if there is not at least one virtual coil.
    """

    virtual: int | None = 12
    prewhiten: bool = True
    noise_covariance: Path | None = None

    def __post_init__(self) -> None:
        check_at_least(1, virtual=self.virtual)


class RawSeries(Dataset[Sample]):
    """The series of an ISMRMRD file, each slice, average, repetition, set and contrast one of them.

    Frames are the phases or, where there is one, the repetitions. K-space is prewhitened, freed from the oversampling
    of the readout, and compressed to fewer coils; sensitivities are estimated by ESPIRiT from the average over time.
    A file is read series by series. A sample's target is unknown.

    Args:
        path: of the file.
        coils: how they are treated.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if it cannot be read, or is of a volume instead of slices; names it.
    """

    def __init__(self, path: Path, coils: Coils = Coils()) -> None:
        self.file, self.coils = RawFile(path), coils
        sizes = self.file.sizes
        if sizes["kz"] > 1:
            raise DataError(f"{path}: is of a volume of {sizes['kz']} partitions, expected slices, each a series")
        self.time = "phase" if sizes["phase"] > 1 else "repetition"
        self.items = self.file.indices([dim for dim in ITEMS if dim != self.time])
        named = [dim for dim in ITEMS if dim in ALWAYS_NAMED or (dim != self.time and sizes[dim] > 1)]
        self.names = [f"{path.stem}/{'_'.join(f'{dim}{item[dim]}' for dim in named)}" for item in self.items]
        self.whitening = self._whitening() if coils.prewhiten else None

    def __len__(self) -> int:
        """The number of series."""
        return len(self.items)

    def __getitem__(self, index: int) -> Sample:
        """Read a series.

        Raises:
            DataError: if its samples cannot be read, are all zero or beyond single precision, or leave the centre of
                k-space open; names the file.
            ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
        """
        item = self.items[index]
        kspace, sampled = self._kspace(item)
        sensitivities = self._sensitivities(kspace, sampled) if len(kspace) > 1 else None
        geometry = scan_geometry(self.file, self.time, kspace.shape[-1], **item)
        return scaled(
            Sample(
                kspace, None, sampled[None], sensitivities, torch.tensor(1.0), self.names[index], "measured", geometry
            )
        )

    def _kspace(self, item: dict[str, int]) -> tuple[Tensor, Tensor]:
        """K-space (coil, time, height, width) as it is reconstructed, and where it is sampled."""
        part = self.file.kspace(**item)
        kspace = torch.from_numpy(_inner(part.kspace, DIMS, ("coil", self.time, "kx", "ky")))
        sampled = torch.from_numpy(_inner(part.sampled, WITHOUT_COILS, (self.time, "kx", "ky")))
        largest = float(kspace.abs().max())
        if not SMALLEST < largest < LARGEST:
            raise DataError(
                f"{self.file.path}: the largest sample of a series is {largest:.0e}, expected a number that single "
                f"precision can work with, from {SMALLEST:.0e} to {LARGEST:.0e}"
            )
        if self.whitening is not None:
            kspace = mix_coils(self.whitening, kspace)
        kspace, sampled = narrow_readout(kspace, sampled, self.file.header.recon.matrix_size[0])
        virtual = self.coils.virtual or len(kspace)
        return (kspace if virtual >= len(kspace) else compress_coils(kspace, virtual)), sampled

    def _sensitivities(self, kspace: Tensor, sampled: Tensor) -> Tensor:
        width = calibration_width(sampled.any(0))
        if width < LEAST_CALIBRATION:
            raise DataError(
                f"{self.file.path}: only {width} x {width} of the centre of k-space are sampled by any frame, expected "
                f"{LEAST_CALIBRATION} x {LEAST_CALIBRATION} or more, to estimate coil sensitivities. Give k-space with "
                "sensitivities of your own as an .h5 or .npz file"
            )
        return estimate_sensitivities(time_average(kspace, sampled), width)[:, None]

    def _whitening(self) -> Tensor | None:
        """What whitens the noise of the coils, its mean variance kept, so that images keep their unit."""
        covariance = self._covariance()
        if covariance is None:
            return None
        try:
            return whitening_matrix(covariance / (covariance.diagonal().real.mean()))
        except ValueError as error:
            raise DataError(f"{self.file.path}: {first_line(error)} Or leave out --data.raw_coils.prewhiten") from error

    def _covariance(self) -> Tensor | None:
        given, coils = self.coils.noise_covariance, self.file.sizes["coil"]
        if given is None:
            noise = self.file.noise()
            return None if noise is None else noise_covariance(torch.from_numpy(noise))
        try:
            covariance = np.load(given, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f"{given}: cannot be read as a noise covariance: {first_line(error)}") from error
        if covariance.shape != (coils, coils) or not np.isfinite(covariance).all():
            raise DataError(f"{given}: has shape {covariance.shape}, expected finite numbers ({coils}, {coils})")
        return torch.from_numpy(covariance)


def _inner(array: npt.NDArray[Any], dims: Sequence[str], kept: Sequence[str]) -> npt.NDArray[Any]:
    """Some dims of an array, in another order; the others have the size 1."""
    outer = [dim for dim in dims if dim not in kept]
    ordered = array.transpose([dims.index(dim) for dim in (*outer, *kept)])
    return np.ascontiguousarray(ordered[(0,) * len(outer)])
