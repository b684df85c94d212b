"""Prewhitening, compression and sensitivities of the coils of a scanner."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.raw_data.coils import calibration_width, compression_matrix, estimate_sensitivities, time_average
from datamodules.raw_data.given_arrays import read_array
from datamodules.raw_data.prewhitening import mix_coils, noise_covariance, whitening_matrix
from datamodules.raw_data.readout import narrow_readout, without_oversampling
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import DataError, first_line

SMALLEST, LARGEST = 1e-15, 1e15  # magnitudes whose squares, summed, are numbers of single precision
LEAST_CALIBRATION = 8  # rows and columns of the centre of k-space


@dataclass(frozen=True)
class Coils:
    """Settings of prewhitening, compression and sensitivities of the coils of a raw file.

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


class Measured(NamedTuple):
    """Complex k-space of some coils, and where it is sampled, boolean.

    As all coils of a file measured a series, k-space is (coil, time, kx, ky) and sampled (time, kx, ky); as they
    measured the calibration of a slice, both are without time.
    """

    kspace: Tensor
    sampled: Tensor


class Treated(NamedTuple):
    """A series as fewer, white coils measured it.

    Attributes:
        kspace: (coil, time, height, width), complex64, without the oversampling of the readout.
        sampled: (time, height, width), boolean.
        sensitivities: (coil, 1, height, width), complex64, root sum of squares at most 1; None for a single coil.
        gain: what given sensitivities were divided by; 1 for others.
    """

    kspace: Tensor
    sampled: Tensor
    sensitivities: Tensor | None
    gain: float


class Size(NamedTuple):
    """Numbers of slices and coils of a file, and of pixels along the readout and the phase encoding."""

    slices: int
    coils: int
    height: int
    width: int


class CoilTreatment:
    """Whiten the noise of coils, leave out the oversampling of the readout, and compress them to fewer.

    Sensitivities, unless they are given, are estimated by ESPIRiT from a separate calibration where that has the centre
    of k-space, else from the average over time. All series of raw data are treated so, of whatever format.

    Args:
        coils: what is to be done.
        path: of the file, for errors.
        size: of what the file holds.
        noise: (coil, sample), complex, measured without signal; None where the file has none: then the noise is
            whitened by a given covariance only.

    Raises:
        FileNotFoundError: if there is no file that ``coils`` names.
        DataError: if what is given of the coils does not fit, or the noise cannot be whitened; names the file.
    """

    def __init__(self, coils: Coils, path: Path, size: Size, noise: Tensor | None = None) -> None:
        self.coils, self.path, self.size = coils, path, size
        self.whitening = self._whitening(noise) if coils.prewhiten else None
        self.given = None if coils.sensitivities is None else self._given(coils.sensitivities)

    def __call__(self, series: Measured, number: int, calibration: Measured | None = None) -> Treated:
        """Treat the coils of a series.

        Args:
            series: as all coils measured it.
            number: of its slice.
            calibration: of its slice; None where there was no separate one.

        Raises:
            DataError: if its samples are all zero or beyond single precision, or leave the centre of k-space open;
                names the file.
            ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
        """
        largest = float(series.kspace.abs().max())
        if not SMALLEST < largest < LARGEST:
            raise DataError(
                f"{self.path}: the largest sample of a series is {largest:.0e}, expected a number that single "
                f"precision can work with, from {SMALLEST:.0e} to {LARGEST:.0e}"
            )
        white = series._replace(kspace=self._white(series.kspace))
        kspace, sampled = narrow_readout(*white, self.size.height)
        virtual = self.coils.virtual or len(kspace)
        compression = compression_matrix(kspace, virtual) if virtual < len(kspace) else torch.eye(len(kspace))
        kspace = mix_coils(compression, kspace)
        if self.given is not None:
            return Treated(kspace, sampled, *self._mixed(self.given[number % len(self.given)], compression))
        if len(kspace) == 1:
            return Treated(kspace, sampled, None, 1.0)
        average = Measured(time_average(*white), white.sampled.any(0))
        separate = [] if calibration is None else [calibration._replace(kspace=self._white(calibration.kspace))]
        return Treated(kspace, sampled, self._estimated([*separate, average], compression), 1.0)

    def _white(self, coils: Tensor) -> Tensor:
        return coils if self.whitening is None else mix_coils(self.whitening, coils)

    def _mixed(self, sensitivities: Tensor, compression: Tensor) -> tuple[Tensor, float]:
        """Return the sensitivities of virtual coils, with a root sum of squares of at most 1, and their divisor."""
        mixed = mix_coils(compression, self._white(sensitivities))
        gain = float(mixed.abs().square().sum(0).sqrt().max())
        return (mixed / gain).to(torch.complex64)[:, None], gain

    def _estimated(self, sources: list[Measured], compression: Tensor) -> Tensor:
        widths = [calibration_width(source.sampled) for source in sources]
        for source, width in zip(sources, widths, strict=True):
            if width >= LEAST_CALIBRATION:
                # Estimate on the oversampled field of view: after cropping, tissue outside the image aliases in and
                # would need a second set of maps.
                sensitivities = estimate_sensitivities(mix_coils(compression, source.kspace), width)
                return without_oversampling(sensitivities, self.size.height)[:, None]
        raise DataError(
            f"{self.path}: only {max(widths)} x {max(widths)} of the centre of k-space are sampled by any frame, "
            f"expected {LEAST_CALIBRATION} x {LEAST_CALIBRATION} or more, to estimate coil sensitivities. Give your "
            "own with --data.raw_coils.sensitivities FILE.npy"
        )

    def _whitening(self, noise: Tensor | None) -> Tensor | None:
        """Return the matrix that whitens the noise and keeps its mean variance, so that images keep their unit."""
        given = self.coils.noise_covariance
        try:
            covariance = self._given_covariance(given) if given is not None else _covariance_of(noise)
            return None if covariance is None else whitening_matrix(covariance / covariance.diagonal().real.mean())
        except DataError:
            raise
        except ValueError as error:
            raise DataError(
                f"{given or self.path}: {first_line(error)} Reconstruct without whitening, with "
                "--data.raw_coils.prewhiten false, or by --data.raw_coils.noise_covariance FILE.npy"
            ) from error

    def _given_covariance(self, path: Path) -> Tensor:
        return read_array(path, "the covariance of the coils' noise", (self.size.coils, self.size.coils))

    def _given(self, path: Path) -> Tensor:
        """Sensitivities (slice or 1, coil, height, width), complex128."""
        shape = self.size[1:]
        maps = read_array(path, "coil sensitivities", shape, tuple(self.size)).reshape(-1, *shape)
        for largest in maps.abs().amax((1, 2, 3)).tolist():
            if not SMALLEST < largest < LARGEST:
                raise DataError(
                    f"{path}: the largest sensitivity of a slice is {largest:.0e}, expected a number that single "
                    f"precision can work with, from {SMALLEST:.0e} to {LARGEST:.0e}"
                )
        return maps


def _covariance_of(noise: Tensor | None) -> Tensor | None:
    return None if noise is None else noise_covariance(noise)
