"""VISTA: lines that repel each other in k-space and time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lowrank_unroll.checks import check_positive, check_share
from lowrank_unroll.sampling.drawing import frequencies
from lowrank_unroll.sampling.lines import CartesianLines, lines_per_frame

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Only near pairs count, since the energy falls with the fourth power of the distance.
FRAMES_AROUND = 8
LINES_AROUND = 6
CLOSEST = 1e-4  # squared distance below which the energy stays constant
# Gradient descent, with distances in units of the local spacing.
STEPS = 80
RATE = 0.15
LONGEST_STEP = 0.5  # of the first step; the limit falls linearly to 0
SEEDS = 2**31


@dataclass(frozen=True)
class Vista(CartesianLines):
    """Variable density incoherent spatiotemporal acquisition (Ahmad et al., Magn. Reson. Med. 2015).

    The samples of the ky-t plane repel each other: they minimize a Riesz energy, with distances in units of the local
    spacing, so that they spread evenly at a density that falls from the zero frequency outwards. Both axes are
    periodic, as in a cine. The energy is the weighted one of Borodachov, Hardin & Saff (Trans. Amer. Math. Soc. 2008),
    whose minimizers have the given density if its exponent, here 4, is above the dimension, 2:

        sum over pairs of (sqrt(p_i p_j) ((k_i - k_j)^2 + (t_i - t_j)^2))^-2

    with k in lines, t in frames and p the density. Gradient descent starts from random positions and ends at positions
    between lines, which are then rounded to distinct lines of each frame. Neither a fully sampled center nor full
    coverage of k-space over time is guaranteed.

    Each leading index takes a tenth of a second to a second, and is cached: to draw many masks, use few generator
    states.

    Args:
        acceleration: the rate, at least 1; every frame has round(width / acceleration) lines, at least one.
        deviation: standard deviation of the Gaussian part of the density as a fraction of the width, positive.
        background: fraction of the lines that are spread uniformly, in (0, 1]; 1 is uniform density.

    Raises:
        ValueError: if an argument is outside its range.
    """

    deviation: float = 0.12
    background: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(deviation=self.deviation)
        check_share(background=self.background)

    def columns(self, frames: Sequence[int], width: int, generator: torch.Generator) -> Tensor:
        """Draw the sampled lines, (..., time, width), independently for each leading index."""
        *leading, time = frames
        seeds = torch.randint(SEEDS, leading, generator=generator, device=generator.device)
        masks = [_spread_lines(self, time, width, seed) for seed in seeds.flatten().tolist()]
        return torch.stack(masks).reshape(*frames, width).to(generator.device)

    def density(self, width: int) -> Tensor:
        """Return the fraction of the frames that each line should be in, double precision, (width,).

        It adds up to the number of lines of a frame and is at most 1. Lines whose scaled density would exceed 1 are in
        all frames, and the excess goes to the other lines.
        """
        lines = lines_per_frame(width, self.acceleration)
        gaussian = (-((frequencies(width, torch.device("cpu")).double() / self.deviation) ** 2) / 2).exp()
        shape = self.background / width + (1 - self.background) * gaussian / gaussian.sum()
        # If the m densest lines are in all frames, the scale of the others is (lines - m) / (their sum). The right m
        # has the largest scale.
        rest = shape.sort().values.cumsum(0).flip(0)
        scale = ((lines - torch.arange(width)) / rest).max()
        return (scale * shape).clamp(max=1)


# NumPy from here, which computes on one thread: masks do not depend on the number of threads, and small operations do
# not wait for other threads on a busy machine.
@lru_cache(maxsize=256)
def _spread_lines(pattern: Vista, time: int, width: int, seed: int) -> Tensor:
    """Return an optimized mask, (time, width)."""
    density = pattern.density(width).numpy()
    positions = _random_positions(density, time, lines_per_frame(width, pattern.acceleration), seed)
    for step in range(STEPS):
        spacing = density[_nearest_lines(positions, width)] ** -0.5
        longest = LONGEST_STEP * (1 - step / STEPS)
        step_in_spacings = (RATE * spacing * _gradient(positions, density)).clip(-longest, longest)
        positions = np.sort((positions - spacing * step_in_spacings) % width)
    mask = np.zeros((time, width), dtype=np.bool_)
    np.put_along_axis(mask, _distinct_lines(positions, width), values=True, axis=-1)
    return torch.from_numpy(mask)


def _random_positions(density: Floats, time: int, lines: int, seed: int) -> Floats:
    """Draw positions of a density, in lines, one in each quantile, ascending in each frame, (time, lines)."""
    generator = np.random.default_rng(seed)
    cumulated = density.cumsum()
    quantile = (np.arange(lines) + generator.random((time, lines))) / lines
    line = np.searchsorted(cumulated / cumulated[-1], quantile)
    return np.sort((line + generator.random((time, lines)) - 0.5) % len(density))


def _gradient(positions: Floats, density: Floats) -> Floats:
    """Return the gradient of the energy by positions that ascend in each frame, (time, lines)."""
    time, lines = positions.shape
    delay, rank = _around(time, FRAMES_AROUND), _around(lines, LINES_AROUND)
    frames = (np.arange(time)[:, None] + delay) % time
    ranks = (np.arange(lines)[:, None] + rank) % lines
    # Pairs are (time, line, delay, rank): all frames have the same density, so neighbors have similar ranks.
    others = frames[:, None, :, None], ranks[:, None, :]
    nearest = _nearest_lines(positions, len(density))
    gap = _wrapped(positions[..., None, None] - positions[others], len(density))
    squared = np.maximum(gap**2 + delay[:, None] ** 2, CLOSEST)
    squared[:, :, len(delay) // 2, len(rank) // 2] = math.inf  # no energy of a line with itself
    weight = density[nearest]
    energy = 1 / (weight[..., None, None] * weight[others] * squared**2)
    steepness = _slope(np.log(density))[nearest]
    gradient: Floats = -((4 * gap / squared + steepness[..., None, None]) * energy).sum((-2, -1))
    return gradient


def _around(period: int, most: int) -> Integers:
    """Return offsets to the nearest neighbors on either side of a circle, none twice."""
    reach = min(most, (period - 1) // 2)
    return np.arange(-reach, reach + 1)


def _nearest_lines(positions: Floats, width: int) -> Integers:
    return positions.round().astype(np.int64) % width


def _wrapped(gap: Floats, period: int) -> Floats:
    """Return the shortest gap on a circle."""
    return gap - period * (gap / period).round()


def _slope(values: Floats) -> Floats:
    """Return the derivative of a periodic function by central differences, shape as given."""
    return (np.roll(values, -1) - np.roll(values, 1)) / 2


def _distinct_lines(positions: Floats, width: int) -> Integers:
    """Round ascending positions (time, lines) to lines that are distinct within a frame."""
    # Lines are distinct if line - rank does not descend. The mean of its lower and upper monotone envelope is such.
    rank = np.arange(positions.shape[-1])
    excess = positions - rank
    from_below = np.maximum.accumulate(excess, axis=-1)
    from_above = np.minimum.accumulate(excess[:, ::-1], axis=-1)[:, ::-1]
    ascending = ((from_below + from_above) / 2).round().clip(0, width - len(rank))
    return ascending.astype(np.int64) + rank
