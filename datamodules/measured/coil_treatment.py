"""Prewhitening, compression and sensitivities of the coils of a scanner."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from datamodules.measured.coils import (
    calibration_width,
    compression_matrix,
    estimate_sensitivities,
    mix_coils,
    noise_covariance,
    time_average,
    whitening_matrix,
)
from datamodules.measured.readout import crop_center, crop_readout_kspace
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import DataError, first_line

SMALLEST, LARGEST = 1e-15, 1e15  # magnitudes whose sums of squares neither under- nor overflow single precision
LEAST_CALIBRATION = 8  # rows and columns at the centre of k-space


@dataclass(frozen=True)
class Coils:
    """Settings of prewhitening, compression and sensitivities of the coils of a raw file.

    Args:
        virtual: number of virtual coils to compress to; None keeps all coils.
        prewhiten: whether to whiten the noise of the coils, by the noise scan if the file has one.
        noise_covariance: a .npy file of the covariance (coil, coil) of their noise, in place of a noise scan.
        sensitivities: a .npy file of the sensitivities of the coils of the file, (coil, height, width) or (slice, coil,
            height, width) without readout oversampling, complex, of any scale; None estimates them.

    Raises:
        ValueError: if ``virtual`` is below 1.
    """

    virtual: int | None = 12
    prewhiten: bool = True
    noise_covariance: Path | None = None
    sensitivities: Path | None = None

    def __post_init__(self) -> None:
        check_at_least(1, virtual=self.virtual)


class Measured(NamedTuple):
    """K-space as all coils of a file measured it, complex, and where it is sampled, boolean.

    Of a series, k-space is (coil, time, kx, ky) and sampled (time, kx, ky); of a separate calibration of a slice, both
    are without time.
    """

    kspace: Tensor
    sampled: Tensor


class Treated(NamedTuple):
    """A series of whitened, virtual coils.

    Attributes:
        kspace: (coil, time, height, width), complex64, without readout oversampling.
        sampled: (time, height, width), boolean.
        sensitivities: (coil, 1, height, width), complex64, root sum of squares at most 1; None for a single coil.
        gain: divisor of given sensitivities; 1 for estimated ones.
    """

    kspace: Tensor
    sampled: Tensor
    sensitivities: Tensor | None
    gain: float


class Size(NamedTuple):
    """Numbers of slices and coils of a file, and of pixels along the readout (height) and phase encoding (width)."""

    slices: int
    coils: int
    height: int
    width: int


class CoilTreatment:
    """Prewhiten coils, remove readout oversampling, and compress the coils; the same for raw data of every format.

    Sensitivities, unless they are given, are estimated by ESPIRiT from a separate calibration if that covers the centre
    of k-space, else from the average over time.

    Args:
        coils: the settings.
        path: of the raw file, for errors.
        size: of the data in the file.
        noise: (coil, sample), complex, measured without signal; None if the file has none: the noise is then whitened
            only by a given covariance.

    Raises:
        FileNotFoundError: if a file that ``coils`` names does not exist.
        DataError: if a given covariance or given sensitivities do not fit, or the noise cannot be whitened; names the
            file.
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
            calibration: separate calibration of its slice; None if there is none.

        Raises:
            DataError: if its samples are all zero or beyond single precision, or sensitivities cannot be estimated
                since the centre of k-space has gaps; names the file.
            ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
        """
        white = series._replace(kspace=self.whiten(series.kspace))
        kspace, sampled = crop_readout_kspace(*white, self.size.height)
        compression = self.compression(kspace)

        def sources() -> Iterator[Measured]:
            if calibration is not None:
                yield calibration._replace(kspace=mix_coils(compression, self._white(calibration.kspace)))
            yield Measured(mix_coils(compression, time_average(*white)), white.sampled.any(0))

        return Treated(mix_coils(compression, kspace), sampled, *self.sensitivities(number, compression, sources()))

    def whiten(self, kspace: Tensor) -> Tensor:
        """Whiten the noise of all coils (coil, ...), if it is known.

        Raises:
            DataError: if all samples are zero, or one is beyond single precision; names the file.
        """
        largest = float(kspace.abs().max())
        if not SMALLEST < largest < LARGEST:
            raise DataError(
                f"{self.path}: the largest sample of a series is {largest:.0e}, expected a number that single "
                f"precision can work with, from {SMALLEST:.0e} to {LARGEST:.0e}"
            )
        return self._white(kspace)

    def compression(self, kspace: Tensor) -> Tensor:
        """Return the matrix (virtual coil, coil) that compresses white k-space (coil, ...)."""
        virtual = self.coils.virtual or len(kspace)
        return compression_matrix(kspace, virtual) if virtual < len(kspace) else torch.eye(len(kspace))

    def sensitivities(
        self, number: int, compression: Tensor, sources: Iterable[Measured]
    ) -> tuple[Tensor | None, float]:
        """Return sensitivities and gain of virtual coils, see ``Treated``.

        Args:
            number: of the slice, for given sensitivities.
            compression: from all coils to virtual ones.
            sources: k-space (virtual coil, kx, ky) of at least the image's field of view, and where it is sampled; of
                the first whose centre is sampled sensitivities are estimated, unless they are given.

        Raises:
            DataError: if the centre of each source has gaps; names the file.
            ModuleNotFoundError: if sigpy, which estimates sensitivities, is not installed.
        """
        if self.given is not None:
            return self._mixed(self.given[number % len(self.given)], compression)
        return (None if len(compression) == 1 else self._estimated(sources)), 1.0

    def _white(self, coils: Tensor) -> Tensor:
        return coils if self.whitening is None else mix_coils(self.whitening, coils)

    def _mixed(self, sensitivities: Tensor, compression: Tensor) -> tuple[Tensor, float]:
        """Return the sensitivities of virtual coils, with a root sum of squares of at most 1, and their divisor."""
        mixed = mix_coils(compression, self._white(sensitivities))
        gain = float(mixed.abs().square().sum(0).sqrt().max())
        return (mixed / gain).to(torch.complex64)[:, None], gain

    def _estimated(self, sources: Iterable[Measured]) -> Tensor:
        widths = []
        for source in sources:
            widths.append(calibration_width(source.sampled))
            if widths[-1] >= LEAST_CALIBRATION:
                # Estimate on the oversampled field of view: after cropping, tissue outside the image aliases in and
                # would need a second set of maps.
                sensitivities = estimate_sensitivities(source.kspace, widths[-1])
                return crop_center(sensitivities, self.size.height, self.size.width)[:, None]
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
        return _read_array(path, "the covariance of the coils' noise", (self.size.coils, self.size.coils))

    def _given(self, path: Path) -> Tensor:
        """Read sensitivities (slice or 1, coil, height, width), complex128."""
        shape = self.size[1:]
        maps = _read_array(path, "coil sensitivities", shape, tuple(self.size)).reshape(-1, *shape)
        for largest in maps.abs().amax((1, 2, 3)).tolist():
            if not SMALLEST < largest < LARGEST:
                raise DataError(
                    f"{path}: the largest sensitivity of a slice is {largest:.0e}, expected a number that single "
                    f"precision can work with, from {SMALLEST:.0e} to {LARGEST:.0e}"
                )
        return maps


def _covariance_of(noise: Tensor | None) -> Tensor | None:
    return None if noise is None else noise_covariance(noise)


def _read_array(path: Path, what: str, *shapes: tuple[int, ...]) -> Tensor:
    """Read an array of finite numbers from a .npy file, as complex128.

    Args:
        path: of the file.
        what: name of the array in errors.
        shapes: the allowed ones.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if it cannot be read, is of another shape, or holds NaN or infinity; names it.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.absolute()}")
    try:
        # Mapping refuses a shape that the file cannot hold before anything is allocated.
        array = np.lib.format.open_memmap(path, mode="r")
        numbers = array.astype(np.complex128, casting="safe")
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise DataError(f"{path}: cannot be read as {what}: {first_line(error)}") from error
    if numbers.shape not in shapes or not np.isfinite(numbers).all():
        expected = " or ".join(map(str, shapes))
        raise DataError(f"{path}: has shape {numbers.shape}, expected finite numbers {expected}, {what}")
    return torch.from_numpy(numbers)
