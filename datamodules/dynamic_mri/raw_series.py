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
from datamodules.raw_data.coils import calibration_width, compression_matrix, estimate_sensitivities, time_average
from datamodules.raw_data.given_arrays import read_array
from datamodules.raw_data.ismrmrd import RawFile
from datamodules.raw_data.ismrmrd_lines import DIMS, ITEMS
from datamodules.raw_data.prewhitening import mix_coils, noise_covariance, whitening_matrix
from datamodules.raw_data.readout import narrow_readout, without_oversampling
from datamodules.raw_data.scan_geometry import scan_geometry
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import DataError, first_line
from lowrank_unroll.sample import Sample

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
        sensitivities: a .npy file of what each coil of the file sees, (coil, height, width) or (slice, coil, height,
            width) without the oversampling of the readout, complex, of any scale; None estimates it.

    Raises:
        ValueError: if there is not at least one virtual coil.
    """

    virtual: int | None = 12
    prewhiten: bool = True
    noise_covariance: Path | None = None
    sensitivities: Path | None = None

    def __post_init__(self) -> None:
        check_at_least(1, virtual=self.virtual)


class RawSeries(Dataset[Sample]):
    """The series of an ISMRMRD file, each slice, average, repetition, set and contrast one of them.

    Frames are the phases or, where there is one, the repetitions. K-space is prewhitened, freed from the oversampling
    of the readout, and compressed to fewer coils; that of the phase encoding is told by the geometry, for it can only
    be left out of the reconstruction. Sensitivities, unless they are given, are estimated by ESPIRiT from the lines of
    a separate calibration where the file has those of the centre of k-space, else from the average over time. A file is
    read series by series. A sample's target is unknown, and zero.

    Args:
        path: of the file.
        coils: how they are treated.

    Raises:
        FileNotFoundError: if there is no such file, or none that ``coils`` names.
        DataError: if it cannot be read, or is of a volume instead of slices, or what is given of the coils does not
            fit; names it.
    """

    def __init__(self, path: Path, coils: Coils = Coils()) -> None:
        self.file, self.coils = RawFile(path), coils
        sizes = self.file.sizes
        if sizes["kz"] > 1:
            raise DataError(f"{path}: is of a volume of {sizes['kz']} partitions, expected slices, each a series")
        self.time = "phase" if sizes["phase"] > 1 else "repetition"
        self.items = self.file.indices([dim for dim in ITEMS if dim != self.time])
        self.names = [f"{path.stem}/{self.file.name_of(item)}" for item in self.items]
        self.readout = min(self.file.header.recon.matrix_size[0], sizes["kx"])
        self.whitening = self._whitening() if coils.prewhiten else None
        self.given = None if coils.sensitivities is None else self._given(coils.sensitivities)

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
        whole, sampled_of_whole = self._measured(item)
        kspace, sampled = narrow_readout(whole, sampled_of_whole, self.readout)
        virtual = self.coils.virtual or len(kspace)
        compression = compression_matrix(kspace, virtual) if virtual < len(kspace) else torch.eye(len(kspace))
        kspace = mix_coils(compression, kspace)
        sensitivities, gain = None, 1.0
        if self.given is not None:
            sensitivities, gain = self._mixed(self.given[item["slice"] % len(self.given)], compression)
        elif len(kspace) > 1:
            sensitivities = self._estimated(item["slice"], compression, whole, sampled_of_whole)
        target = torch.zeros(kspace.shape[1:], dtype=torch.complex64)
        geometry = scan_geometry(self.file, self.time, kspace.shape[-1], **item)
        sample = scaled(
            Sample(
                kspace, target, sampled[None], sensitivities, torch.tensor(1.0), self.names[index], "measured", geometry
            )
        )
        return sample._replace(scale=sample.scale / gain)

    def _measured(self, item: dict[str, int]) -> tuple[Tensor, Tensor]:
        """K-space (coil, time, kx, ky) of the file, of white coils, and where it is sampled, (time, kx, ky)."""
        part = self.file.kspace(**item)
        kspace = torch.from_numpy(_inner(part.kspace, DIMS, ("coil", self.time, "kx", "ky")))
        sampled = torch.from_numpy(_inner(part.sampled, WITHOUT_COILS, (self.time, "kx", "ky")))
        largest = float(kspace.abs().max())
        if not SMALLEST < largest < LARGEST:
            raise DataError(
                f"{self.file.path}: the largest sample of a series is {largest:.0e}, expected a number that single "
                f"precision can work with, from {SMALLEST:.0e} to {LARGEST:.0e}"
            )
        return self._white(kspace), sampled

    def _white(self, coils: Tensor) -> Tensor:
        return coils if self.whitening is None else mix_coils(self.whitening, coils)

    def _mixed(self, sensitivities: Tensor, compression: Tensor) -> tuple[Tensor, float]:
        """Those of virtual coils, divided so that their root sum of squares is at most 1, and by what."""
        mixed = mix_coils(compression, self._white(sensitivities))
        gain = float(mixed.abs().square().sum(0).sqrt().max())
        return (mixed / gain).to(torch.complex64)[:, None], gain

    def _estimated(self, number: int, compression: Tensor, kspace: Tensor, sampled: Tensor) -> Tensor:
        sources = [(time_average(kspace, sampled), sampled.any(0))]
        separate = self.file.calibration(number)
        if separate is not None:
            sources.insert(0, (self._white(torch.from_numpy(separate.kspace)), torch.from_numpy(separate.sampled)))
        widths = [calibration_width(there) for _, there in sources]
        for (source, _), width in zip(sources, widths, strict=True):
            if width >= LEAST_CALIBRATION:
                # With the oversampling, for where the body goes on beyond the image there would be two sets of them.
                sensitivities = estimate_sensitivities(mix_coils(compression, source), width)
                return without_oversampling(sensitivities, self.readout)[:, None]
        raise DataError(
            f"{self.file.path}: only {max(widths)} x {max(widths)} of the centre of k-space are sampled by any frame, "
            f"expected {LEAST_CALIBRATION} x {LEAST_CALIBRATION} or more, to estimate coil sensitivities. Give your "
            "own with --data.raw_coils.sensitivities FILE.npy"
        )

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
        if given is not None:
            return read_array(given, "the covariance of the coils' noise", (coils, coils))
        noise = self.file.noise()
        return None if noise is None else noise_covariance(torch.from_numpy(noise))

    def _given(self, path: Path) -> Tensor:
        """Sensitivities (slice or 1, coil, height, width), complex128."""
        sizes = self.file.sizes
        shape = sizes["coil"], self.readout, sizes["ky"]
        maps = read_array(path, "coil sensitivities", shape, (sizes["slice"], *shape)).reshape(-1, *shape)
        for largest in maps.abs().amax((1, 2, 3)).tolist():
            if not SMALLEST < largest < LARGEST:
                raise DataError(
                    f"{path}: the largest sensitivity of a slice is {largest:.0e}, expected a number that single "
                    f"precision can work with, from {SMALLEST:.0e} to {LARGEST:.0e}"
                )
        return maps


def _inner(array: npt.NDArray[Any], dims: Sequence[str], kept: Sequence[str]) -> npt.NDArray[Any]:
    """Some dims of an array, in another order; the others have the size 1."""
    outer = [dim for dim in dims if dim not in kept]
    ordered = array.transpose([dims.index(dim) for dim in (*outer, *kept)])
    return np.ascontiguousarray(ordered[(0,) * len(outer)])
