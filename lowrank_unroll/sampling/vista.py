"""Lines that keep away from each other in k-space and time."""

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

# Pairs that are further apart hardly repel each other: the energy falls off with the fourth power of the distance.
FRAMES_AROUND = 8
LINES_AROUND = 6
CLOSEST = 1e-4  # squared distance below which they do not repel each other more
# Of the descent, with distances in units of the local spacing.
STEPS = 80
RATE = 0.15
LONGEST_STEP = 0.5  # at first; 0 in the end
SEEDS = 2**31


@dataclass(frozen=True)
class Vista(CartesianLines):
    """Variable density incoherent spatiotemporal acquisition (Ahmad et al., Magn. Reson. Med. 2015).

    The samples of the ky-t plane repel each other: they minimise a Riesz energy, with distances in units of the local
    spacing, so that they are spread evenly at a density that falls off from the zero frequency. Both axes are periodic,
    as those of a cine. Here it is the weighted energy of Borodachov, Hardin & Saff (Trans. Amer. Math. Soc. 2008), of
    an exponent, 4, above the dimension, 2, as it takes for minimisers of the stated density:

        sum over pairs of (sqrt(p_i p_j) ((k_i - k_j)^2 + (t_i - t_j)^2))^-2

    with k in lines, t in frames and p the density, descended from random positions, which are then moved to the nearest
    lines that are distinct within a frame. Neither a centre nor a union over time is guaranteed.

    Each leading index takes a tenth of a second to a second, and is remembered: where many masks are needed, draw them
    from a small set of generator states.

    Args:
        acceleration: the rate, at least 1; every frame has round(width / acceleration) lines, at least one.
        deviation: standard deviation of the Gaussian part of the density as a share of the width, positive.
        background: share of the lines that are spread uniformly, in (0, 1]; 1 is uniform density.

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
        """Which lines are sampled, (..., time, width), each leading index by itself."""
        *leading, time = frames
        seeds = torch.randint(SEEDS, leading, generator=generator, device=generator.device)
        masks = [_spread_lines(self, time, width, seed) for seed in seeds.flatten().tolist()]
        return torch.stack(masks).reshape(*frames, width).to(generator.device)

    def density(self, width: int) -> Tensor:
        """The share of the frames that each line should be in, double precision, (width,).

        It adds up to the lines of a frame and is at most 1: where a scaled density would be above, the line is in all
        frames, and what is left goes to the others.
        """
        lines = lines_per_frame(width, self.acceleration)
        gaussian = (-((frequencies(width, torch.device("cpu")).double() / self.deviation) ** 2) / 2).exp()
        shape = self.background / width + (1 - self.background) * gaussian / gaussian.sum()
        # With the m densest lines full, the others need the scale (lines - m) / (their sum): the largest is the one.
        rest = shape.sort().values.cumsum(0).flip(0)
        scale = ((lines - torch.arange(width)) / rest).max()
        return (scale * shape).clamp(max=1)


# NumPy from here: it takes one thread, so that a mask does not depend on how many there are, and operations as small as
# these do not wait for other threads on a busy machine.
@lru_cache(maxsize=256)
def _spread_lines(pattern: Vista, time: int, width: int, seed: int) -> Tensor:
    """One optimised mask, (time, width)."""
    density = pattern.density(width).numpy()
    positions = _random_positions(density, time, lines_per_frame(width, pattern.acceleration), seed)
    for step in range(STEPS):
        spacing = density[_nearest_lines(positions, width)] ** -0.5
        longest = LONGEST_STEP * (1 - step / STEPS)
        move = (RATE * spacing * _gradient(positions, density)).clip(-longest, longest)
        positions = np.sort((positions - spacing * move) % width)
    mask = np.zeros((time, width), dtype=np.bool_)
    np.put_along_axis(mask, _distinct_lines(positions, width), values=True, axis=-1)
    return torch.from_numpy(mask)


def _random_positions(density: Floats, time: int, lines: int, seed: int) -> Floats:
    """Random positions of the given density, in lines, one in each quantile, ascending in each frame, (time, lines)."""
    generator = np.random.default_rng(seed)
    cumulated = density.cumsum()
    quantile = (np.arange(lines) + generator.random((time, lines))) / lines
    line = np.searchsorted(cumulated / cumulated[-1], quantile)
    return np.sort((line + generator.random((time, lines)) - 0.5) % len(density))


def _gradient(positions: Floats, density: Floats) -> Floats:
    """The derivative of the energy with respect to each position, (time, lines); positions ascend in each frame."""
    time, lines = positions.shape
    delay, rank = _around(time, FRAMES_AROUND), _around(lines, LINES_AROUND)
    frames = (np.arange(time)[:, None] + delay) % time
    ranks = (np.arange(lines)[:, None] + rank) % lines
    # Pairs are (time, line, delay, rank): frames have the same density, so what is near has nearly the same rank.
    others = frames[:, None, :, None], ranks[:, None, :]
    nearest = _nearest_lines(positions, len(density))
    gap = _wrapped(positions[..., None, None] - positions[others], len(density))
    squared = np.maximum(gap**2 + delay[:, None] ** 2, CLOSEST)
    squared[:, :, len(delay) // 2, len(rank) // 2] = math.inf  # a line and itself
    weight = density[nearest]
    energy = 1 / (weight[..., None, None] * weight[others] * squared**2)
    steepness = _slope(np.log(density))[nearest]
    gradient: Floats = -((4 * gap / squared + steepness[..., None, None]) * energy).sum((-2, -1))
    return gradient


def _around(period: int, most: int) -> Integers:
    """Offsets to the nearest neighbours on a circle, on either side, none twice."""
    reach = min(most, (period - 1) // 2)
    return np.arange(-reach, reach + 1)


def _nearest_lines(positions: Floats, width: int) -> Integers:
    return positions.round().astype(np.int64) % width


def _wrapped(gap: Floats, period: int) -> Floats:
    """The shortest of the equivalent gaps on a circle."""
    return gap - period * (gap / period).round()


def _slope(values: Floats) -> Floats:
    """The derivative of a periodic function by central differences, shape as given."""
    return (np.roll(values, -1) - np.roll(values, 1)) / 2


def _distinct_lines(positions: Floats, width: int) -> Integers:
    """Lines near ascending positions (time, lines), distinct within a frame."""
    # Lines are distinct if line - rank does not descend: the mean of the two monotone envelopes is near both.
    rank = np.arange(positions.shape[-1])
    excess = positions - rank
    from_below = np.maximum.accumulate(excess, axis=-1)
    from_above = np.minimum.accumulate(excess[:, ::-1], axis=-1)[:, ::-1]
    ascending = ((from_below + from_above) / 2).round().clip(0, width - len(rank))
    return ascending.astype(np.int64) + rank
