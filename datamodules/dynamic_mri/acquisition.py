"""Simulated acquisition of dynamic MRI."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.dynamic_mri.simulation import add_noise, coil_sensitivities
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.operators import Fourier, LinearOperator, coil_operator
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import SamplingPattern


@dataclass(frozen=True)
class Acquisition:
    """How a series is measured.

    Args:
        pattern: which values of k-space are sampled.
        coils: how many receive coils; with one, every pixel is seen alike.
        snr: signal-to-noise ratio, see :func:`add_noise`; None for no noise.

    Raises:
        ValueError: if there is not at least one coil, or the signal-to-noise ratio is not positive and finite.
    """

    pattern: SamplingPattern
    coils: int = 1
    snr: float | None = None

    def __post_init__(self) -> None:
        check_at_least(1, coils=self.coils)
        if self.snr is not None and not (0 < self.snr < math.inf):
            raise ValueError(f"snr is {self.snr}, expected a positive number, or null for no noise")

    def measure(
        self,
        series: Tensor,
        name: str,
        origin: str,
        generator: torch.Generator,
        sensitivities: Tensor | None = None,
    ) -> Sample:
        """Measure a complex series (time, height, width); the sample is scaled to a zero-filled maximum of 1.

        Sensitivities (coil, 1, height, width) that are given take the place of simulated ones.
        """
        mask = self.pattern(series.shape, generator)[None]
        height, width = series.shape[-2:]
        if sensitivities is None and self.coils > 1:
            sensitivities = coil_sensitivities(self.coils, height, width, generator)
        kspace = _fully_sampled(sensitivities)(series[None])[0]
        if self.snr is not None:
            kspace = add_noise(kspace, self.snr, generator)
        return scaled(Sample(kspace * mask, series, mask, sensitivities, torch.tensor(1.0), name, origin))


def scaled(sample: Sample) -> Sample:
    """Divide a sample of dynamic MRI by the maximum of its zero-filled series, which is known without the target."""
    zero_filled = _fully_sampled(sample.coil_sensitivities).adjoint(sample.measurement[None])
    maximum = zero_filled.abs().max()
    scale = torch.where(maximum > 0, maximum, 1)
    return sample._replace(
        measurement=sample.measurement / scale, target=sample.target / scale, scale=sample.scale * scale
    )


def _fully_sampled(sensitivities: Tensor | None) -> LinearOperator:
    return Fourier() @ coil_operator(None if sensitivities is None else sensitivities[None])
