"""Simulated acquisition of dynamic MRI."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

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
        coils: how many receive coils; with one, every pixel is seen alike. Or the smallest and largest number, between
            which each sample draws one, log-uniformly; the coils that it lacks see nothing, so that samples stack.
        snr: signal-to-noise ratio, see :func:`add_noise`; None for no noise.

    Raises:
        ValueError: if there is not at least one coil, the smallest number does not come first, or the signal-to-noise
            ratio is not positive and finite.
    """

    pattern: SamplingPattern
    coils: int | tuple[int, int] = 1
    snr: float | None = None

    def __post_init__(self) -> None:
        fewest, most = self._limits()
        check_at_least(1, coils=fewest)
        if fewest > most:
            raise ValueError(f"coils is {self.coils}, expected the smallest number first")
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
        if sensitivities is None:
            sensitivities = self._sensitivities(height, width, generator)
        kspace = _fully_sampled(sensitivities)(series[None])[0]
        if self.snr is not None:
            kspace = add_noise(kspace, self.snr, generator)
        return scaled(Sample(kspace * mask, series, mask, sensitivities, torch.tensor(1.0), name, origin))

    def _sensitivities(self, height: int, width: int, generator: torch.Generator) -> Tensor | None:
        fewest, most = self._limits()
        if most == 1:
            return None
        coils = fewest
        if fewest < most:
            fraction = torch.rand((), generator=generator, device=generator.device, dtype=torch.float64)
            coils = min(most, int(fewest * ((most + 1) / fewest) ** fraction))
        sensitivities = coil_sensitivities(coils, height, width, generator)
        return pad(sensitivities, (0, 0) * 3 + (0, most - coils))

    def _limits(self) -> tuple[int, int]:
        return self.coils if isinstance(self.coils, tuple) else (self.coils, self.coils)


def scaled(sample: Sample) -> Sample:
    """Divide a sample of dynamic MRI by the maximum of its zero-filled series, which is known without the target."""
    zero_filled = _fully_sampled(sample.coil_sensitivities).adjoint(sample.measurement[None])
    maximum = zero_filled.abs().max()
    scale = torch.where(maximum > 0, maximum, 1)
    target = None if sample.target is None else sample.target / scale
    return sample._replace(measurement=sample.measurement / scale, target=target, scale=sample.scale * scale)


def _fully_sampled(sensitivities: Tensor | None) -> LinearOperator:
    return Fourier() @ coil_operator(None if sensitivities is None else sensitivities[None])
