"""Scalar shrinkages of singular values, with what their exact gradient needs.

A shrinkage of your own is a frozen dataclass with one method:

    @dataclass(frozen=True)
    class Ridge(Shrinkage):
        strength: Tensor | float

        def values(self, S):
            return S / (1 + self.strength[..., None])

Its fields are its parameters: numbers or tensors of the batch shape, differentiable, except those of type int. Where f
has kinks or jumps, also give :meth:`Shrinkage.divided_differences`, as :class:`Soft` does.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import ClassVar, Self

import torch
from torch import Tensor

# Gauss-Legendre nodes and weights on [0, 1].
NODES = (0.069431844202973712, 0.33000947820757187, 0.66999052179242813, 0.93056815579702629)
WEIGHTS = (0.17392742256872693, 0.32607257743127307, 0.32607257743127307, 0.17392742256872693)
CLOSE = 0.05


@dataclass(frozen=True)
class Shrinkage(ABC):
    """A real function f of non-negative numbers with f(0) = 0, applied to singular values S, descending, (..., k)."""

    parameter_dims: ClassVar[int] = 0
    """Dims of a parameter beyond the batch: 0 for one number per matrix, 1 for one per singular value."""

    @abstractmethod
    def values(self, S: Tensor) -> Tensor:
        """f(s_i), shape (..., k), made of differentiable operations."""

    def derivatives(self, S: Tensor) -> Tensor:
        """f'(s_i), shape (..., k)."""
        return _slopes(self.values, S)

    def second_derivatives(self, S: Tensor) -> Tensor:
        """f''(s_i), shape (..., k)."""
        return _slopes(self.derivatives, S)

    def divided_differences(self, S: Tensor) -> Tensor:
        """(f(s_i) - f(s_j)) / (s_i - s_j), and f'(s_i) where they are equal, shape (..., k, k).

        This is right for smooth f: the mean of f' between values that are close, by quadrature, for there the quotient
        loses its digits.
        """
        s_i, s_j = _rows(S)
        f_i, f_j = _rows(self.values(S))
        gap = s_i - s_j
        close = gap.abs() <= CLOSE * torch.maximum(s_i, s_j)
        quotient = (f_i - f_j) / torch.where(close, 1, gap)
        mean = torch.zeros_like(gap)
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            mean = mean + weight * self.derivatives((s_j + node * gap).flatten(-2)).reshape(gap.shape)
        return torch.where(close, mean, quotient)

    def parameters(self, S: Tensor) -> tuple[Tensor, ...]:
        """The parameters, of the dtype of S and expanded to one per matrix (or singular value) of its batch."""
        shape = S.shape[: S.ndim - 1 + self.parameter_dims]
        values = (getattr(self, name) for name in self._parameter_names())
        return tuple(
            torch.as_tensor(value, dtype=S.dtype, device=S.device).expand(shape).contiguous() for value in values
        )

    def with_parameters(self, parameters: Sequence[Tensor]) -> Self:
        """The same shrinkage with other parameters."""
        return replace(self, **dict(zip(self._parameter_names(), parameters, strict=True)))

    @classmethod
    @cache
    def _parameter_names(cls) -> list[str]:
        return [field.name for field in fields(cls) if field.type is not int]


@dataclass(frozen=True)
class Soft(Shrinkage):
    """f(s) = max(s - threshold, 0), the proximal map of threshold * nuclear norm.

    Args:
        threshold: non-negative, in the unit of the matrix.
    """

    threshold: Tensor | float

    def values(self, S: Tensor) -> Tensor:
        """Subtract the threshold."""
        return _excess(S, _column(self.threshold))

    def divided_differences(self, S: Tensor) -> Tensor:
        """1 above the threshold, 0 below, a quotient in [0, 1] across it."""
        return _excess_differences(S, _column(self.threshold))


@dataclass(frozen=True)
class Firm(Shrinkage):
    """Firm thresholding, the proximal map of the minimax concave penalty (Zhang, Ann. Statist. 2010).

    f(s) = 0 up to the threshold, s beyond concavity * threshold, linear between.

    Args:
        threshold: non-negative, in the unit of the matrix.
        concavity: larger than 1; soft thresholding as it grows, hard thresholding as it goes to 1.
    """

    threshold: Tensor | float
    concavity: Tensor | float = 3.0

    def values(self, S: Tensor) -> Tensor:
        """A combination of soft thresholds, whose slopes add up to 1 beyond the second."""
        lower, upper, slope = self._pieces()
        return slope * _excess(S, lower) - (slope - 1) * _excess(S, upper)

    def divided_differences(self, S: Tensor) -> Tensor:
        """The same combination of the soft thresholds' divided differences."""
        lower, upper, slope = self._pieces()
        slope = slope[..., None]
        return slope * _excess_differences(S, lower) - (slope - 1) * _excess_differences(S, upper)

    def _pieces(self) -> tuple[Tensor, Tensor, Tensor]:
        threshold, concavity = _column(self.threshold), _column(self.concavity)
        return threshold, concavity * threshold, concavity / (concavity - 1)


@dataclass(frozen=True)
class Hard(Shrinkage):
    """f(s) = s above the threshold, else 0: the proximal map of threshold^2 / 2 * rank.

    The jump at the threshold has no gradient, and none with respect to the threshold; next to it the gradient with
    respect to the matrix is large, as it should be.

    Args:
        threshold: non-negative, in the unit of the matrix.
    """

    threshold: Tensor | float

    def values(self, S: Tensor) -> Tensor:
        """Keep what is above the threshold."""
        return torch.where(_column(self.threshold) < S, S, 0)

    def divided_differences(self, S: Tensor) -> Tensor:
        """1 above the threshold, 0 below, s_i / (s_i - s_j) across it."""
        return _selection_differences(S, _column(self.threshold) < S)


@dataclass(frozen=True)
class Truncation(Shrinkage):
    """Keep the largest singular values: the nearest matrix of a given rank (Eckart & Young, Psychometrika 1936).

    Where the last value kept equals the first one dropped there is no gradient; that pair contributes nothing then.

    Args:
        rank: how many to keep.
    """

    rank: int

    def values(self, S: Tensor) -> Tensor:
        """Keep the first values."""
        return torch.where(self._kept(S), S, 0)

    def divided_differences(self, S: Tensor) -> Tensor:
        """1 among the kept, 0 among the dropped, s_i / (s_i - s_j) between them."""
        return _selection_differences(S, self._kept(S))

    def _kept(self, S: Tensor) -> Tensor:
        return (torch.arange(S.shape[-1], device=S.device) < self.rank).expand(S.shape)


@dataclass(frozen=True)
class WeightedSoft(Shrinkage):
    """f_i(s_i) = max(s_i - weight_i, 0), weighted nuclear norm minimisation (Gu et al., CVPR 2014).

    Singular values that are equal but have different weights have no gradient; each then counts by its own slope.

    Args:
        weights: non-negative, in the unit of the matrix, one per singular value from the largest on, (..., k);
            non-descending, as for a proximal map.
    """

    weights: Tensor

    parameter_dims: ClassVar[int] = 1

    def values(self, S: Tensor) -> Tensor:
        """Subtract each value's weight."""
        return _excess(S, self.weights)

    def divided_differences(self, S: Tensor) -> Tensor:
        """The quotients of differences, and the mean slope where the singular values are equal."""
        f = self.values(S)
        gap = S[..., :, None] - S[..., None, :]
        slope = (f > 0).to(S)
        mean_slope = (slope[..., :, None] + slope[..., None, :]) / 2
        quotient = (f[..., :, None] - f[..., None, :]) / torch.where(gap == 0, 1, gap)
        # Equal weights: exactly 1 where both are kept, without the rounding of a quotient of small numbers.
        same = (self.weights[..., :, None] == self.weights[..., None, :]) & (mean_slope == 1)
        return torch.where((gap == 0) | same, mean_slope, quotient)


@dataclass(frozen=True)
class SchattenP(Shrinkage):
    """The proximal map of strength * |s|^p, generalised soft thresholding (Zuo et al., ICCV 2013).

    f(s) = 0 up to a threshold t, where it jumps (unless p = 1), and beyond it the larger root x of x + strength p
    x^(p-1) = s, with x0 = (2 strength (1 - p))^(1 / (2 - p)) and t = x0 + strength p x0^(p - 1).

    Args:
        strength: non-negative.
        power: p in (0, 1].
    """

    strength: Tensor | float
    power: Tensor | float = 0.5

    def values(self, S: Tensor) -> Tensor:
        """The larger root, by Newton's method; its last steps are differentiated."""
        strength, p = _column(self.strength), _column(self.power)
        kept = self._kept(S)
        with torch.no_grad():
            root = torch.where(kept, S, 1)
            for _ in range(8):
                root = self._newton_step(root, torch.where(kept, S, 1), strength, p, kept)
        for _ in range(2):
            root = self._newton_step(root, torch.where(kept, S, 1), strength, p, kept)
        return torch.where(kept, root, 0)

    def divided_differences(self, S: Tensor) -> Tensor:
        """1 / (1 + strength p (x^(p-1))[x_i, x_j]) where both are kept, x_i / (s_i - s_j) where one is."""
        strength, p = _column(self.strength)[..., None], _column(self.power)[..., None]
        f, kept = self.values(S), self._kept(S)
        x_i, x_j = _rows(torch.where(kept, f, 1))
        ratio = ((x_i - x_j) / x_j).log1p()
        near = ratio.abs() < torch.finfo(S.dtype).eps
        safe = torch.where(near, 1, ratio)
        slope = torch.where(near, p - 1, ((p - 1) * safe).expm1() / safe.expm1()) * x_j ** (p - 2)
        kept_i, kept_j = _rows(kept)
        s_i, s_j = _rows(S)
        gap = (s_i - s_j).abs()
        f_i, f_j = _rows(f)
        across = (f_i - f_j).abs() / torch.where(gap == 0, 1, gap)
        return torch.where(kept_i & kept_j, 1 / (1 + strength * p * slope), torch.where(kept_i | kept_j, across, 0))

    def second_derivatives(self, S: Tensor) -> Tensor:
        """F'' by differentiating x + strength p x^(p-1) = s twice."""
        strength, p = _column(self.strength), _column(self.power)
        kept = self._kept(S)
        x = torch.where(kept, self.values(S), 1)
        first = 1 + strength * p * (p - 1) * x ** (p - 2)
        second = strength * p * (p - 1) * (p - 2) * x ** (p - 3)
        return torch.where(kept, -second / first**3, 0)

    def _kept(self, S: Tensor) -> Tensor:
        strength, p = _column(self.strength), _column(self.power)
        below_one = torch.where(p < 1, p, 0.5)
        root = (2 * strength * (1 - below_one)) ** (1 / (2 - below_one))
        jump = root + torch.where(root > 0, strength * below_one * root ** (below_one - 1), 0)
        return torch.where(p < 1, jump, strength) < S

    @staticmethod
    def _newton_step(root: Tensor, S: Tensor, strength: Tensor, p: Tensor, kept: Tensor) -> Tensor:
        residual = root + strength * p * root ** (p - 1) - S
        slope = 1 + strength * p * (p - 1) * root ** (p - 2)
        return torch.where(kept, root - residual / torch.where(kept, slope, 1), root)


def _slopes(function: Callable[[Tensor], Tensor], S: Tensor) -> Tensor:
    """The derivative of an elementwise function."""
    outputs, pull_back, *_ = torch.func.vjp(function, S)
    slopes: Tensor = pull_back(torch.ones_like(outputs))[0]
    return slopes


def _column(parameter: Tensor | float) -> Tensor:
    assert isinstance(parameter, Tensor)  # noqa: S101  spectral_function has made it one
    return parameter[..., None]


def _rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """The values of i and of j for every pair, (..., k, 1) and (..., 1, k)."""
    return values[..., :, None], values[..., None, :]


def _pairs(S: Tensor) -> tuple[Tensor, Tensor]:
    """The larger and the smaller value of every pair, (..., k, k)."""
    return torch.maximum(*_rows(S)), torch.minimum(*_rows(S))


def _excess(S: Tensor, threshold: Tensor) -> Tensor:
    return (S - threshold).clamp(min=0)


def _excess_differences(S: Tensor, threshold: Tensor) -> Tensor:
    """Divided differences of max(s - threshold, 0), every one in [0, 1] also after rounding."""
    s_i, s_j = _rows(S)
    # Across the threshold the smaller value is shrunk to 0; below it both are, and so is the quotient.
    gap = (s_i - s_j).abs().clamp(min=torch.finfo(S.dtype).tiny)
    quotient = torch.maximum(*_rows(_excess(S, threshold))) / gap
    return torch.where(torch.minimum(s_i, s_j) > threshold[..., None], 1, quotient).clamp(max=1)


def _selection_differences(S: Tensor, kept: Tensor) -> Tensor:
    """Divided differences of a function that keeps some values and drops others."""
    larger, smaller = _pairs(S)
    kept_i, kept_j = _rows(kept)
    across = (kept_i != kept_j) & (larger > smaller)
    gap = torch.where(across, larger - smaller, 1)
    return torch.where(across, larger / gap, (kept_i & kept_j).to(S))
