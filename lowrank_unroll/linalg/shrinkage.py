"""Scalar shrinkages of singular values, with what their exact gradient needs.

A shrinkage of your own is a frozen dataclass with one method:

    @dataclass(frozen=True)
    class Ridge(Shrinkage):
        strength: Tensor | float

        def values(self, S):
            return S / (1 + self.strength[..., None])

Its fields are its parameters: numbers or tensors of the batch shape, differentiable, except those of type int. Where f
has kinks or jumps, also give :meth:`Shrinkage.divided_differences`, as those in thresholding.py do.
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
        s_i, s_j = rows(S)
        f_i, f_j = rows(self.values(S))
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


def _slopes(function: Callable[[Tensor], Tensor], S: Tensor) -> Tensor:
    """The derivative of an elementwise function."""
    outputs, pull_back, *_ = torch.func.vjp(function, S)
    slopes: Tensor = pull_back(torch.ones_like(outputs))[0]
    return slopes


def rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """The values of i and of j of every pair, (..., k, 1) and (..., 1, k)."""
    return values[..., :, None], values[..., None, :]
