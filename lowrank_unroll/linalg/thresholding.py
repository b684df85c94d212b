"""Shrinkages of singular values: proximal maps of penalties, and truncation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.linalg import native
from lowrank_unroll.linalg.shrinkage import NON_NEGATIVE, Range, Shrinkage, pairs, tied_pairs


@dataclass(frozen=True)
class Soft(Shrinkage):
    """f(s) = max(s - threshold, 0), the proximal map of threshold * nuclear norm.

    Args:
        threshold: non-negative, in the unit of the matrix.

    >>> Soft(1.0).values(torch.tensor([4.0, 2.0, 0.5]))
    tensor([3., 1., 0.])
    """

    threshold: Tensor | float

    ranges: ClassVar[Mapping[str, Range]] = {"threshold": NON_NEGATIVE}

    def values(self, S: Tensor) -> Tensor:
        """Subtract the threshold, down to 0."""
        return _soft(S, _column(self.threshold, S))

    def divided_differences(self, S: Tensor) -> Tensor:
        """Return 1 above the threshold, 0 below, a quotient in [0, 1] across it."""
        return native.soft_differences(S, _column(self.threshold, S))


@dataclass(frozen=True)
class Firm(Shrinkage):
    """Firm thresholding, the proximal map of the minimax concave penalty (Zhang, Ann. Statist. 2010).

    f(s) = 0 up to the threshold, s beyond concavity * threshold, linear between.

    Args:
        threshold: non-negative, in the unit of the matrix.
        concavity: larger than 1; soft thresholding as it grows, hard thresholding as it goes to 1.

    >>> Firm(1.0, concavity=3.0).values(torch.tensor([4.0, 2.0, 0.5]))
    tensor([4.0000, 1.5000, 0.0000])
    """

    threshold: Tensor | float
    concavity: Tensor | float = 3.0

    ranges: ClassVar[Mapping[str, Range]] = {
        "threshold": NON_NEGATIVE,
        "concavity": (lambda value: value > 1, "a number above 1"),
    }

    def values(self, S: Tensor) -> Tensor:
        """Combine two soft thresholds, whose slopes add up to 1 beyond the second."""
        lower, upper, slope = self._pieces(S)
        return slope * _soft(S, lower) - (slope - 1) * _soft(S, upper)

    def divided_differences(self, S: Tensor) -> Tensor:
        """Combine the divided differences of the two soft thresholds."""
        lower, upper, slope = self._pieces(S)
        slope = slope[..., None]
        return slope * native.soft_differences(S, lower) - (slope - 1) * native.soft_differences(S, upper)

    def _pieces(self, S: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        threshold, concavity = _column(self.threshold, S), _column(self.concavity, S)
        return threshold, concavity * threshold, concavity / (concavity - 1)


@dataclass(frozen=True)
class Hard(Shrinkage):
    """f(s) = s above the threshold, else 0: the proximal map of threshold^2 / 2 * rank.

    The jump has no gradient at the threshold, and none with respect to it. Where it separates two close values, the
    gradient with respect to the matrix is large, as the true one is, unless they are tied.

    Args:
        threshold: non-negative, in the unit of the matrix.

    >>> Hard(1.0).values(torch.tensor([4.0, 2.0, 0.5]))
    tensor([4., 2., 0.])
    """

    threshold: Tensor | float

    ranges: ClassVar[Mapping[str, Range]] = {"threshold": NON_NEGATIVE}

    def values(self, S: Tensor) -> Tensor:
        """Keep values above the threshold."""
        return torch.where(_column(self.threshold, S) < S, S, 0)

    def divided_differences(self, S: Tensor) -> Tensor:
        """Return 1 above the threshold, 0 below, s_i / (s_i - s_j) across it."""
        return _selection_differences(S, _column(self.threshold, S) < _positive(S))


@dataclass(frozen=True)
class Truncation(Shrinkage):
    """Keep the largest singular values: the nearest matrix of a given rank (Eckart & Young, Psychometrika 1936).

    Where the last value kept and the first one dropped are tied, there is no gradient; the pair contributes nothing.

    Args:
        rank: number of singular values to keep.

    >>> Truncation(1).values(torch.tensor([4.0, 2.0, 0.5]))
    tensor([4., 0., 0.])
    """

    rank: int

    ranges: ClassVar[Mapping[str, Range]] = {
        "rank": (lambda value: isinstance(value, int) and value >= 0, "a whole number, 0 or more")
    }

    def values(self, S: Tensor) -> Tensor:
        """Keep the first values."""
        return torch.where(self._kept(S), S, 0)

    def divided_differences(self, S: Tensor) -> Tensor:
        """Return 1 among the kept, 0 among the dropped, s_i / (s_i - s_j) between them."""
        return _selection_differences(S, self._kept(S))

    def _kept(self, S: Tensor) -> Tensor:
        return (torch.arange(S.shape[-1], device=S.device) < self.rank).expand(S.shape)


@dataclass(frozen=True)
class WeightedSoft(Shrinkage):
    """f_i(s_i) = max(s_i - weight_i, 0), weighted nuclear norm minimisation (Gu et al., CVPR 2014).

    Tied singular values with different weights have no gradient; the mean of their slopes is used.

    Args:
        weights: non-negative, in the unit of the matrix, one per singular value from the largest on, (..., k);
            non-descending, as for a proximal map.

    >>> WeightedSoft(torch.tensor([0.0, 1.0, 2.0])).values(torch.tensor([4.0, 2.0, 0.5]))
    tensor([4., 1., 0.])
    """

    weights: Tensor

    parameter_dims: ClassVar[int] = 1
    ranges: ClassVar[Mapping[str, Range]] = {"weights": NON_NEGATIVE}

    def values(self, S: Tensor) -> Tensor:
        """Subtract each value's weight."""
        return _soft(S, self.weights)

    def divided_differences(self, S: Tensor) -> Tensor:
        """Return 1 - (w_i - w_j) / (s_i - s_j) of two kept values, f_i / (s_i - s_j) of one, the mean slope at ties."""
        S = _positive(S)
        f, tied = self.values(S), tied_pairs(S)
        s_i, s_j = pairs(S)
        gap = torch.where(tied, 1, s_i - s_j)
        slope_i, slope_j = pairs((f > 0).to(S))
        w_i, w_j = pairs(self.weights)
        f_i, f_j = pairs(f)
        both = 1 - (w_i - w_j) / gap
        quotient = torch.where((slope_i > 0) & (slope_j > 0), both, (f_i - f_j) / gap)
        return torch.where(tied, (slope_i + slope_j) / 2, quotient)


@dataclass(frozen=True)
class SchattenP(Shrinkage):
    """The proximal map of ``strength * |s|^p``, generalised soft thresholding (Zuo et al., ICCV 2013).

    f(s) = 0 up to a threshold t, where it jumps (unless p = 1), and beyond it the larger root x of x + strength p
    x^(p-1) = s, with x0 = (2 strength (1 - p))^(1 / (2 - p)) and t = x0 + strength p x0^(p - 1).

    Args:
        strength: non-negative.
        power: p in (0, 1].

    >>> SchattenP(1.0, power=0.5).values(torch.tensor([2.5, 1.0]))  # 2.1598 + 0.5 / 2.1598^0.5 = 2.5
    tensor([2.1598, 0.0000])
    """

    strength: Tensor | float
    power: Tensor | float = 0.5

    ranges: ClassVar[Mapping[str, Range]] = {
        "strength": NON_NEGATIVE,
        "power": (lambda value: 0 < value <= 1, "a number in (0, 1]"),
    }

    def values(self, S: Tensor) -> Tensor:
        """Return the larger root, by ten steps of Newton's method, of which the last two are differentiated."""
        strength, p = _column(self.strength, S), _column(self.power, S)
        kept = self._kept(S)
        with torch.no_grad():
            root = torch.where(kept, S, 1)
            for _ in range(8):
                root = self._newton_step(root, torch.where(kept, S, 1), strength, p, kept)
        for _ in range(2):
            root = self._newton_step(root, torch.where(kept, S, 1), strength, p, kept)
        return torch.where(kept, root, torch.where(strength == 0, S, 0))

    def divided_differences(self, S: Tensor) -> Tensor:
        """Return 1 / (1 + strength p (x^(p-1))[x_i, x_j]) where both are kept, x_i / (s_i - s_j) where one is."""
        strength, p = _column(self.strength, S)[..., None], _column(self.power, S)[..., None]
        f, kept = self.values(S), self._kept(S)
        x_i, x_j = _sorted_pairs(torch.where(kept, f, 1))
        ratio = ((x_i - x_j) / x_j).log1p()
        near = ratio.abs() < torch.finfo(S.dtype).eps
        safe = torch.where(near, 1, ratio)
        slope = torch.where(near, p - 1, ((p - 1) * safe).expm1() / safe.expm1()) * x_j ** (p - 2)
        kept_i, kept_j = pairs(kept)
        s_i, s_j = pairs(S)
        gap = (s_i - s_j).abs()
        f_i, f_j = pairs(f)
        across = (f_i - f_j).abs() / torch.where(gap == 0, 1, gap)
        neither = (strength == 0).to(S)  # without strength f is the identity, whose slope is 1 also at zeros
        both = 1 / (1 + strength * p * slope)
        return torch.where(kept_i & kept_j, both, torch.where(kept_i | kept_j, across, neither))

    def second_derivatives(self, S: Tensor) -> Tensor:
        """Return f'', from differentiating x + strength p x^(p-1) = s twice."""
        strength, p = _column(self.strength, S), _column(self.power, S)
        kept = self._kept(S)
        x = torch.where(kept, self.values(S), 1)
        first = 1 + strength * p * (p - 1) * x ** (p - 2)
        second = strength * p * (p - 1) * (p - 2) * x ** (p - 3)
        return torch.where(kept, -second / first**3, 0)

    def _kept(self, S: Tensor) -> Tensor:
        strength, p = _column(self.strength, S), _column(self.power, S)
        below_one = torch.where(p < 1, p, 0.5)
        root = (2 * strength * (1 - below_one)) ** (1 / (2 - below_one))
        jump = root + torch.where(root > 0, strength * below_one * root ** (below_one - 1), 0)
        # Powers of subnormal numbers would overflow: they count as zero.
        return torch.where(p < 1, jump, strength).clamp(min=torch.finfo(S.dtype).tiny) < S

    @staticmethod
    def _newton_step(root: Tensor, S: Tensor, strength: Tensor, p: Tensor, kept: Tensor) -> Tensor:
        residual = root + strength * p * root ** (p - 1) - S
        slope = 1 + strength * p * (p - 1) * root ** (p - 2)
        return torch.where(kept, root - residual / torch.where(kept, slope, 1), root)


def _column(parameter: Tensor | float, S: Tensor) -> Tensor:
    if isinstance(parameter, Tensor):  # torch.as_tensor would make it a constant of torch.jit.trace
        return parameter.to(S).unsqueeze(-1)
    return S.new_full((1,), parameter)


def _sorted_pairs(S: Tensor) -> tuple[Tensor, Tensor]:
    """Return the larger and the smaller value of every pair, (..., k, k)."""
    return torch.maximum(*pairs(S)), torch.minimum(*pairs(S))


def _positive(S: Tensor) -> Tensor:
    """Return the values, zeros as the smallest positive number, where f without a threshold has a slope of 1, too."""
    return S.clamp(min=torch.finfo(S.dtype).tiny)


def _soft(S: Tensor, threshold: Tensor) -> Tensor:
    return (S - threshold).clamp_min(0)


def _selection_differences(S: Tensor, kept: Tensor) -> Tensor:
    """Return the divided differences of a function that keeps some values and drops others."""
    larger, smaller = _sorted_pairs(S)
    kept_i, kept_j = pairs(kept)
    across = (kept_i != kept_j) & ~tied_pairs(S)
    gap = torch.where(across, larger - smaller, 1)
    return torch.where(across, larger / gap, (kept_i & kept_j).to(S))
