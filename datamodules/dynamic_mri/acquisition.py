"""Simulated measurement of series of images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from datamodules.dynamic_mri.cine import Cine
from datamodules.dynamic_mri.simulation import add_noise, coil_sensitivities, smooth_phase
from datamodules.loading.crops import Crops, DrawnCrops
from datamodules.loading.drawn_datasets import DrawnDataset
from datamodules.measured.scaling import scale_to_unit_maximum
from datamodules.measured.trajectories import trajectory_sample
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.operators import Fourier, NonUniformFourier, coil_operator
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial, SamplingPattern, TrajectoryPattern

Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Acquisition:
    """The simulated measurement of a series.

    Args:
        pattern: sampling pattern of k-space, of masks or trajectories.
        coils: number of receive coils; a single one has sensitivity 1. Or the smallest and largest number, between
            which each sample draws one, log-uniformly; coils are padded with zeros to the largest, so that samples
            stack.
        snr: signal-to-noise ratio, see :func:`add_noise`; None for no noise. Or the smallest and largest, between which
            each sample draws one, log-uniformly.

    Raises:
        ValueError: if there is no coil, the smaller number does not come first, or a signal-to-noise ratio is not
            positive and finite.
    """

    pattern: SamplingPattern | TrajectoryPattern
    coils: int | tuple[int, int] = 1
    snr: float | tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_at_least(1, coils=limits(self.coils)[0])
        if self.snr is not None:
            check_snr(self.snr, "a positive number, or null for no noise")
        check_order(coils=self.coils)

    def measure(
        self,
        series: Tensor,
        name: str,
        origin: str,
        generator: torch.Generator,
        sensitivities: Tensor | None = None,
    ) -> Sample:
        """Measure a complex series (time, height, width); the sample is scaled to a zero-filled maximum of 1.

        Given sensitivities (coil, 1, height, width) replace simulated ones. Along a trajectory noise is added before
        k-space is multiplied by the roots of the weights.
        """
        shape = (series.shape[-2], series.shape[-1])
        drawn = self.pattern(series.shape, generator)
        if sensitivities is None:
            sensitivities = self._sensitivities(*shape, generator, needed=not is_mask(drawn))
        coils = coil_operator(None if sensitivities is None else sensitivities[None])
        images = coils(series[None])
        kspace = (Fourier() if is_mask(drawn) else NonUniformFourier(drawn[None], shape))(images)[0]
        if self.snr is not None:
            kspace = add_noise(kspace, draw_log_uniformly(self.snr, generator), generator, images[0])
        return sampled(kspace, drawn, sensitivities, name, origin, series)

    def _sensitivities(self, height: int, width: int, generator: torch.Generator, needed: bool) -> Tensor | None:
        fewest, most = limits(self.coils)
        if most == 1 and not needed:
            return None
        coils = min(most, int(draw_log_uniformly((fewest, most + 1), generator))) if fewest < most else fewest
        sensitivities = coil_sensitivities(coils, height, width, generator)
        return pad(sensitivities, (0, 0) * 3 + (0, most - coils))


def is_mask(drawn: Tensor) -> bool:
    """Return True for what a pattern of masks has drawn, False for a trajectory."""
    return drawn.dtype == torch.bool


def sampled(
    kspace: Tensor, drawn: Tensor, sensitivities: Tensor | None, name: str, origin: str, target: Tensor
) -> Sample:
    """Return the scaled sample of simulated k-space.

    Args:
        kspace: fully sampled, (coil, time, height, width), or along the trajectory, (coil, time, samples), complex64.
        drawn: by the pattern: a mask, (time, height, width), or a trajectory, (time, samples, 2).
        sensitivities: (coil, 1, height, width), complex64; None for a single coil and a mask.
        name: of the sample.
        origin: of the sample.
        target: (time, height, width), complex64.
    """
    if not is_mask(drawn):
        assert sensitivities is not None  # noqa: S101  a trajectory needs them
        return trajectory_sample(kspace, drawn, sensitivities, name, origin, target)
    sample = Sample(kspace * drawn, target, drawn[None], sensitivities, torch.tensor(1.0), name, origin)
    return scale_to_unit_maximum(sample)


class Measures(Protocol):
    """A simulated measurement, such as an :class:`Acquisition`."""

    def measure(
        self, series: Tensor, name: str, origin: str, generator: torch.Generator, sensitivities: Tensor | None = None
    ) -> Sample:
        """Measure a complex series (time, height, width)."""


class SimulatedDataset(DrawnDataset):
    """Series of images, or crops of them, measured by a simulated acquisition.

    Magnitude series are given a smooth phase. A sample is a function of the seeds and its draw, see
    :class:`DrawnCrops`: place, phase, coils, noise and mask.

    Args:
        cines: (time, height, width) each.
        acquisition: measures them.
        origin: of the samples, see :class:`Sample`.
        seeds: of everything random, different for each split.
        crops: the crops of each series; the length of the dataset is their number.

    Raises:
        UsageError: if a series is smaller than the window; names the series.
    """

    def __init__(
        self,
        cines: Sequence[Cine],
        acquisition: Measures,
        origin: str,
        seeds: Sequence[int],
        crops: Crops = Crops(),  # noqa: B008  immutable
    ) -> None:
        self.drawn = DrawnCrops(cines, seeds, crops)
        self.acquisition = acquisition
        self.origin = origin

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self.drawn)

    def __getitem__(self, draw: int) -> Sample:
        """Return the sample of a draw, complex64."""
        cine, (time, height, width), name, generator = self.drawn(draw)
        crop = torch.as_tensor(np.ascontiguousarray(cine.frames[time, height, width]))
        sensitivities = None
        if cine.coil_sensitivities is not None:
            sensitivities = torch.as_tensor(cine.coil_sensitivities[:, height, width])[:, None]
        if not crop.is_complex():
            crop = crop.float() * smooth_phase(crop.shape[1], crop.shape[2], generator)
        return self.acquisition.measure(crop.to(torch.complex64), name, self.origin, generator, sensitivities)


def measure_series(
    series: npt.ArrayLike,
    pattern: SamplingPattern | TrajectoryPattern = PseudoRadial(lines=16),  # noqa: B008  immutable
    *,
    coils: int = 1,
    snr: float | None = None,
    coil_sensitivities: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Sample:
    """Simulate the measurement of a series of images, as the DataModules of dynamic MRI do.

    Args:
        series: (time, height, width), magnitudes, which are given a smooth phase, or complex; in any unit.
        pattern: sampling pattern of k-space, of masks or trajectories.
        coils: number of simulated receive coils; a single one has sensitivity 1.
        snr: root mean square of the image over the standard deviation of the noise in each of its real and imaginary
            part; None for no noise.
        coil_sensitivities: (coil, height, width), complex, instead of simulated ones.
        seed: of phase, coils, noise and mask.

    Returns:
        The sample without a batch dim; its k-space is (coil, time, height, width), along a trajectory (coil, time,
        samples), its target (time, height, width), both complex64 and divided by ``scale``.

    Raises:
        ValueError: if an array is of another shape, a number is too small, or the pattern does not fit.
    """
    check_at_least(0, seed=seed)
    frames = np.asarray(series)
    if frames.ndim != 3 or not frames.size:  # noqa: PLR2004
        raise ValueError(f"series is {frames.shape}, expected (time, height, width)")
    maps = None if coil_sensitivities is None else np.asarray(coil_sensitivities, np.complex64)
    if maps is not None and (maps.ndim != 3 or maps.shape[1:] != frames.shape[1:]):  # noqa: PLR2004
        raise ValueError(f"coil_sensitivities are {maps.shape}, expected (coil, height, width) of the series' frames")
    acquisition = Acquisition(pattern, coils, snr)
    return SimulatedDataset([Cine(frames, "series", maps)], acquisition, "semi-synthetic", (seed,))[0]


def check_snr(snr: float | tuple[float, float], expected: str = "a positive number") -> None:
    """Refuse a signal-to-noise ratio, or the smallest and largest one.

    Raises:
        ValueError: if one is not positive and finite, or the smaller one does not come first.
    """
    if not all(0 < limit < math.inf for limit in limits(snr)):
        raise ValueError(f"snr is {snr}, expected {expected}")
    check_order(snr=snr)


def check_order(**values: float | tuple[float, float]) -> None:
    """Refuse two numbers of which the larger comes first.

    Raises:
        ValueError: names the argument.
    """
    for name, value in values.items():
        if isinstance(value, tuple) and value[0] > value[1]:
            raise ValueError(f"{name} is {value}, expected the smaller number first")


def limits(value: Number | tuple[Number, Number]) -> tuple[Number, Number]:
    """Return the smallest and largest number; a single number is both."""
    return value if isinstance(value, tuple) else (value, value)


def draw_log_uniformly(value: float | tuple[float, float], generator: torch.Generator) -> float:
    """Draw a number log-uniformly between two; return a single number as it is."""
    least, most = limits(value)
    if least == most:
        return least
    fraction = torch.rand((), generator=generator, device=generator.device, dtype=torch.float64)
    return float(least * (most / least) ** fraction)
