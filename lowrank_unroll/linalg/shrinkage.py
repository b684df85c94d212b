"""Scalar shrinkages of singular values, with what their exact gradient needs.

A shrinkage of your own is a frozen dataclass with one method:

    @dataclass(frozen=True)
    class Ridge(Shrinkage):
        strength: Tensor | float

        def values(self, S):
            return S / (1 + self.strength[..., None])

Its fields of type Tensor or float are its parameters: numbers or tensors of the batch shape, differentiable. Where f
has kinks or jumps, also give :meth:`Shrinkage.divided_differences`, as those in thresholding.py do.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, ClassVar, Self, get_args, get_type_hints

import torch
from torch import Tensor

from lowrank_unroll.linalg.batches import traced

# Gauss-Legendre nodes and weights on [0, 1].
NODES = (0.069431844202973712, 0.33000947820757187, 0.66999052179242813, 0.93056815579702629)
WEIGHTS = (0.17392742256872693, 0.32607257743127307, 0.32607257743127307, 0.17392742256872693)
CLOSE = 0.05

# Units in the last place of the largest singular value. Rounding, in the matrix and in its decomposition, splits a tie
# by up to three.
TIE_TOLERANCE = 8


Range = tuple[Callable[[Any], bool], str]
"""Whether a number is allowed, and in words which are."""

NON_NEGATIVE: Range = (lambda value: value >= 0, "a non-negative number")


@dataclass(frozen=True)
class Shrinkage(ABC):
    """A real function f of non-negative numbers with f(0) = 0, applied to singular values S, descending, (..., k)."""

    parameter_dims: ClassVar[int] = 0
    """Dims of a parameter beyond the batch, 0 for one number per matrix, 1 for one per singular value."""

    ranges: ClassVar[Mapping[str, Range]] = {}
    """What the fields may be, by name."""

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
        return tuple(self._parameter(name, shape, S) for name in parameter_names(type(self)))

    def _parameter(self, name: str, shape: torch.Size, S: Tensor) -> Tensor:
        value = getattr(self, name)
        if torch.is_tensor(value) and value.is_complex():
            raise TypeError(f"{name} is {value.dtype}, expected real numbers")
        if isinstance(value, (int, float)):
            # Made where it is needed: a copy to a GPU would have to be waited for.
            return S.new_full(shape, value)
        # Of a tensor torch.as_tensor makes a constant of torch.jit.trace.
        value = value.to(S) if isinstance(value, Tensor) else torch.as_tensor(value, dtype=S.dtype, device=S.device)
        try:
            return value.expand(shape).contiguous()
        except RuntimeError as error:
            kind = "matrix" if self.parameter_dims == 0 else "singular value"
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}, expected one number, or one for each {kind}, {tuple(shape)}"
            ) from error

    def check(self) -> None:
        """Refuse fields out of their range; tensors on other devices are not waited for.

        Raises:
            TypeError: if one is no number and no tensor; names the field and its value.
            ValueError: if one is out of its range; names the field, its value and what is expected.
        """
        for name, (is_inside, expected) in self.ranges.items():
            for value in _numbers(getattr(self, name)):
                if not isinstance(value, Real):
                    raise TypeError(f"{name} is {value!r}, expected a number or a tensor")
                if not is_inside(value):
                    raise ValueError(f"{name} is {value:.6g}, expected {expected}")

    def with_parameters(self, parameters: Sequence[Tensor]) -> Self:
        """The same shrinkage with other parameters."""
        return replace(self, **dict(zip(parameter_names(type(self)), parameters, strict=True)))


def parameter_names(kind: type[Shrinkage]) -> tuple[str, ...]:
    """The fields of a shrinkage that are parameters: of type Tensor or float, or one of several."""
    if kind not in _PARAMETER_NAMES:
        hints = get_type_hints(kind)  # which resolves the strings of postponed annotations
        kinds = {field.name: {hints[field.name], *get_args(hints[field.name])} for field in fields(kind)}
        found = tuple(name for name, alternatives in kinds.items() if alternatives & {Tensor, float})
        _PARAMETER_NAMES[kind] = found
    return _PARAMETER_NAMES[kind]


# A dictionary, since the compiler warns of functools.cache.
_PARAMETER_NAMES: dict[type[Shrinkage], tuple[str, ...]] = {}


def _numbers(value: Any) -> Sequence[Any]:
    """The numbers of a tensor that are at hand, or what is no tensor; to compare them is faster than tensors."""
    if not isinstance(value, Tensor):
        return (value,)
    at_hand = value.device.type == "cpu" and not value.is_complex() and not traced(value)
    return value.detach().flatten().tolist() if at_hand else ()


def _slopes(function: Callable[[Tensor], Tensor], S: Tensor) -> Tensor:
    """The derivative of an elementwise function."""
    outputs, pull_back, *_ = torch.func.vjp(function, S)
    slopes: Tensor = pull_back(torch.ones_like(outputs))[0]
    return slopes


def rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """The values of i and of j of every pair, (..., k, 1) and (..., 1, k)."""
    return values.unsqueeze(-1), values.unsqueeze(-2)


def tied(S: Tensor) -> Tensor:
    """Which pairs of singular values (..., k) cannot be told apart, to rounding, (..., k, k)."""
    s_i, s_j = rows(S)
    return (s_i - s_j).abs() <= TIE_TOLERANCE * torch.finfo(S.dtype).eps * S[..., :1, None]
