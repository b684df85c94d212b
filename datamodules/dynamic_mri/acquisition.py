"""Simulated acquisition of dynamic MRI."""

import math
from dataclasses import dataclass
from typing import TypeVar

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
    """The simulated measurement of a series.

    Args:
        pattern: which values of k-space are sampled.
        coils: how many receive coils; with one, every pixel is seen alike. Or the smallest and largest number, between
            which each sample draws one, log-uniformly; the coils that it lacks see nothing, so that samples stack.
        snr: signal-to-noise ratio, see :func:`add_noise`; None for no noise. Or the smallest and largest, between which
            each sample draws one, log-uniformly.

    Raises:
        ValueError: if there is not at least one coil, the smaller number does not come first, or a signal-to-noise
            ratio is not positive and finite.
    """

    pattern: SamplingPattern
    coils: int | tuple[int, int] = 1
    snr: float | tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_at_least(1, coils=_limits(self.coils)[0])
        if self.snr is not None and not all(0 < limit < math.inf for limit in _limits(self.snr)):
            raise ValueError(f"snr is {self.snr}, expected a positive number, or null for no noise")
        for name, value in (("coils", self.coils), ("snr", self.snr)):
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name} is {value}, expected the smaller number first")

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
            kspace = add_noise(kspace, _draw(self.snr, generator), generator)
        return scaled(Sample(kspace * mask, series, mask, sensitivities, torch.tensor(1.0), name, origin))

    def _sensitivities(self, height: int, width: int, generator: torch.Generator) -> Tensor | None:
        fewest, most = _limits(self.coils)
        if most == 1:
            return None
        coils = min(most, int(_draw((fewest, most + 1), generator))) if fewest < most else fewest
        sensitivities = coil_sensitivities(coils, height, width, generator)
        return pad(sensitivities, (0, 0) * 3 + (0, most - coils))


Number = TypeVar("Number", int, float)


def _limits(value: Number | tuple[Number, Number]) -> tuple[Number, Number]:
    return value if isinstance(value, tuple) else (value, value)


def _draw(value: float | tuple[float, float], generator: torch.Generator) -> float:
    """Draw a number log-uniformly between two; a number alone is returned."""
    least, most = _limits(value)
    if least == most:
        return least
    fraction = torch.rand((), generator=generator, device=generator.device, dtype=torch.float64)
    return float(least * (most / least) ** fraction)


def scaled(sample: Sample) -> Sample:
    """Divide a sample of dynamic MRI by the maximum of its zero-filled series, which is known without the target."""
    zero_filled = _fully_sampled(sample.coil_sensitivities).adjoint(sample.measurement[None])
    maximum = zero_filled.abs().max()
    scale = torch.where(maximum > 0, maximum, 1)
    target = None if sample.target is None else sample.target / scale
    return sample._replace(measurement=sample.measurement / scale, target=target, scale=sample.scale * scale)


def _fully_sampled(sensitivities: Tensor | None) -> LinearOperator:
    return Fourier() @ coil_operator(None if sensitivities is None else sensitivities[None])
