"""Raw data of the simulated beating heart, as a scanner would measure it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.dynamic_mri.phantom import beating_heart
from datamodules.dynamic_mri.simulation import coil_sensitivities, squared_magnitude
from datamodules.loading.drawn_datasets import generator_of
from datamodules.measured.coils import mix_coils
from datamodules.measured.ismrmrd.header import CARTESIAN, Header, Space
from datamodules.measured.ismrmrd.scan_file import Place
from datamodules.measured.ismrmrd.writer import RawScan
from datamodules.measured.readout import crop_readout
from lowrank_unroll.checks import check_at_least, check_positive, check_sides
from lowrank_unroll.operators import Fourier
from lowrank_unroll.sampling.lines import CartesianLines

FIELD_OF_VIEW, THICKNESS = 180.0, 8.0  # mm, of the shorter side and of the slice
INTERVAL, ECHO_TIME, FLIP_ANGLE, FIELD_STRENGTH = 50.0, 1.3, 50.0, 1.5  # ms, ms, degrees, T
# A short-axis view: down in the image is towards feet and back, right towards the left of the patient.
PLACE = Place((20.0, -30.0, 10.0), (1 / 3, 2 / 3, -2 / 3), (2 / 3, 1 / 3, 2 / 3), (2 / 3, -2 / 3, -1 / 3))
NOISE_SAMPLES = 8192
COUPLING = 0.1  # standard deviation of the mixing of noise between coils


@dataclass(frozen=True)
class PhantomScan:
    """A simulated scan of a beating heart, with twofold readout oversampling; the body extends over all of it.

    Args:
        pattern: sampling pattern of the lines.
        size: time, height and width of the series.
        coils: number of receive coils, whose noise is correlated.
        snr: signal-to-noise ratio, as in :func:`add_noise`; None for no noise, and no noise scan.
        calibration: number of lines at the centre of k-space of a separate calibration, before the first frame.
        seed: of everything random.

    Raises:
        ValueError: if a number is too small.
    """

    pattern: CartesianLines
    size: tuple[int, int, int] = (16, 128, 128)
    coils: int = 8
    snr: float | None = 30.0
    calibration: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        check_sides("time, height, width", size=self.size)
        check_at_least(1, coils=self.coils)
        check_at_least(0, calibration=self.calibration, seed=self.seed)
        check_positive(snr=self.snr)

    def measure(self) -> tuple[RawScan, Tensor]:
        """Draw the heart and measure it.

        Returns:
            The raw data, and the heart, (time, height, width), complex64, in their unit.
        """
        generator = generator_of(self.seed)
        time, height, width = self.size
        body = beating_heart((time, 2 * height, width), generator)
        heart = crop_readout(body, height)
        body, heart = body / heart.abs().max(), heart / heart.abs().max()
        kspace = Fourier()(coil_sensitivities(self.coils, 2 * height, width, generator) * body)
        sampled = self.pattern((time, 2 * height, width), generator)[:, 0]
        centre = slice(
            max(0, width // 2 - self.calibration // 2), width // 2 - self.calibration // 2 + self.calibration
        )
        calibration, noise = torch.zeros_like(kspace[:, 0]), None
        calibration[..., centre] = kspace[:, 0, :, centre]
        if self.snr is not None:
            sigma = float(squared_magnitude(heart).mean().sqrt()) / self.snr
            (kspace, calibration[..., centre]), noise = add_coil_noise(
                [kspace, calibration[..., centre]], sigma, generator
            )
        scan = RawScan(
            kspace[None].numpy(),
            sampled[None].numpy(),
            phantom_header(self.size, self.coils),
            [PLACE],
            [INTERVAL * frame for frame in range(time)],
            None if noise is None else noise.numpy(),
            calibration[None].numpy() if self.calibration else None,
        )
        return scan, heart


def phantom_header(size: tuple[int, int, int], coils: int, oversampling: int = 2) -> Header:
    """Return the header of a simulated Cartesian scan.

    Args:
        size: time, height and width of the series.
        coils: their number.
        oversampling: of the readout.
    """
    _, height, width = size
    pixel = FIELD_OF_VIEW / min(height, width)
    return Header(
        encoded=Space((oversampling * height, width, 1), (oversampling * pixel * height, pixel * width, THICKNESS)),
        recon=Space((height, width, 1), (pixel * height, pixel * width, THICKNESS)),
        trajectory=CARTESIAN,
        limits={},
        channels=coils,
        field_strength=FIELD_STRENGTH,
        repetition_times=(INTERVAL,),
        echo_times=(ECHO_TIME,),
        flip_angles=(FLIP_ANGLE,),
        pilot_tone=False,
        calibration_is_embedded=False,
    )


def add_coil_noise(signals: Sequence[Tensor], sigma: float, generator: torch.Generator) -> tuple[list[Tensor], Tensor]:
    """Add noise that is correlated between coils.

    Args:
        signals: (coil, ...) each, complex64.
        sigma: standard deviation of the noise in the real and imaginary part.
        generator: of the noise and of its correlation.

    Returns:
        The signals with noise, and noise alone, (coil, sample).
    """
    coupling = sigma * _coupling(len(signals[0]), generator)
    noise = _noise(coupling, (NOISE_SAMPLES,), generator)
    return [signal + _noise(coupling, signal.shape[1:], generator) for signal in signals], noise


def _coupling(coils: int, generator: torch.Generator) -> Tensor:
    """Draw the matrix (coil, coil) that makes correlated noise of unit variance from white noise."""
    others = torch.randn(coils, coils, dtype=torch.complex64, generator=generator)
    mixing = torch.eye(coils) + COUPLING * others * (1 - torch.eye(coils))
    return mixing / mixing.abs().square().sum(1, keepdim=True).sqrt()


def _noise(coupling: Tensor, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Draw noise of coils, (coil, *shape); coupling gives the standard deviation of its real and imaginary parts."""
    # A complex normal number of torch has variance 1, 1/2 in each part.
    white = math.sqrt(2) * torch.randn(len(coupling), *shape, dtype=torch.complex64, generator=generator)
    return mix_coils(coupling, white)
