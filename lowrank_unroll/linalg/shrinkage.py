"""Scalar shrinkages of singular values, with the divided differences that their exact gradient needs.

A shrinkage of your own is a frozen dataclass with one method:

    @dataclass(frozen=True)
    class Ridge(Shrinkage):
        strength: Tensor | float

        def values(self, S):
            return S / (1 + self.strength[..., None])

Its fields of type Tensor or float are its parameters: numbers or tensors of the batch shape, differentiable. Where f
has kinks or jumps, define :meth:`Shrinkage.divided_differences`, too, as those in thresholding.py do.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any, ClassVar, Self, get_args, get_type_hints

import torch
from torch import Tensor

from lowrank_unroll.linalg.autograd import is_tracing

# Gauss-Legendre nodes and weights on [0, 1].
NODES = (0.069431844202973712, 0.33000947820757187, 0.66999052179242813, 0.93056815579702629)
WEIGHTS = (0.17392742256872693, 0.32607257743127307, 0.32607257743127307, 0.17392742256872693)
CLOSE = 0.05  # relative distance of two values up to which quadrature is more accurate than the quotient

Range = tuple[Callable[[Any], bool], str]
"""A predicate of the numbers that are allowed, and their description."""

NON_NEGATIVE: Range = (lambda value: value >= 0, "a non-negative number")


@dataclass(frozen=True)
class Shrinkage(ABC):
    """A real function f of non-negative numbers with f(0) = 0, applied to singular values S, descending, (..., k)."""

    parameter_dims: ClassVar[int] = 0
    """Dims of a parameter beyond the batch, 0 for one number per matrix, 1 for one per singular value."""

    ranges: ClassVar[Mapping[str, Range]] = {}
    """The range of each field, by name."""

    @abstractmethod
    def values(self, S: Tensor) -> Tensor:
        """Return f(s_i), shape (..., k), by differentiable operations."""

    def derivatives(self, S: Tensor) -> Tensor:
        """Return f'(s_i), shape (..., k)."""
        return _slopes(self.values, S)

    def second_derivatives(self, S: Tensor) -> Tensor:
        """Return f''(s_i), shape (..., k)."""
        return _slopes(self.derivatives, S)

    def divided_differences(self, S: Tensor) -> Tensor:
        """Return (f(s_i) - f(s_j)) / (s_i - s_j), and f'(s_i) where s_i = s_j, shape (..., k, k).

        This is right for smooth f. Between close values the quotient would lose its digits: there it is the mean of f',
        by Gauss-Legendre quadrature.
        """
        s_i, s_j = pairs(S)
        f_i, f_j = pairs(self.values(S))
        gap = s_i - s_j
        close = gap.abs() <= CLOSE * torch.maximum(s_i, s_j)
        quotient = (f_i - f_j) / torch.where(close, 1, gap)
        mean = torch.zeros_like(gap)
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            mean = mean + weight * self.derivatives((s_j + node * gap).flatten(-2)).reshape(gap.shape)
        return torch.where(close, mean, quotient)

    def parameters(self, S: Tensor) -> tuple[Tensor, ...]:
        """Return the parameters, of the dtype of S and expanded to one per matrix (or singular value) of its batch."""
        shape = S.shape[: S.ndim - 1 + self.parameter_dims]
        return tuple(self._parameter(name, shape, S) for name in parameter_names(type(self)))

    def _parameter(self, name: str, shape: torch.Size, S: Tensor) -> Tensor:
        value = getattr(self, name)
        if torch.is_tensor(value) and value.is_complex():
            raise TypeError(f"{name} is {value.dtype}, expected real numbers")
        if isinstance(value, (int, float)):
            # Filled on the device: copying it to a GPU would synchronise.
            return S.new_full(shape, value)
        # torch.as_tensor would make a tensor a constant of torch.jit.trace.
        value = value.to(S) if isinstance(value, Tensor) else torch.as_tensor(value, dtype=S.dtype, device=S.device)
        try:
            return value.expand(shape).contiguous()
        except RuntimeError as error:
            kind = "matrix" if self.parameter_dims == 0 else "singular value"
            raise ValueError(
                f"{name} has shape {tuple(value.shape)}, expected one number, or one for each {kind}, {tuple(shape)}"
            ) from error

    def check(self) -> None:
        """Raise an error if a field is out of its range; tensors on other devices are not read.

        Raises:
            TypeError: if one is neither a number nor a tensor; names the field and its value.
            ValueError: if one is out of its range; names the field, its value and its range.
        """
        for name, (is_inside, expected) in self.ranges.items():
            for value in _numbers(getattr(self, name)):
                if not isinstance(value, Real):
                    raise TypeError(f"{name} is {value!r}, expected a number or a tensor")
                if not is_inside(value):
                    raise ValueError(f"{name} is {value:.6g}, expected {expected}")

    def with_parameters(self, parameters: Sequence[Tensor]) -> Self:
        """Return the same shrinkage with other parameters."""
        return replace(self, **dict(zip(parameter_names(type(self)), parameters, strict=True)))


def parameter_names(kind: type[Shrinkage]) -> tuple[str, ...]:
    """Return the fields of a shrinkage that are parameters: whose type is Tensor or float, or a union with one."""
    if kind not in _PARAMETER_NAMES:
        hints = get_type_hints(kind)  # which resolves the strings of postponed annotations
        kinds = {field.name: {hints[field.name], *get_args(hints[field.name])} for field in fields(kind)}
        found = tuple(name for name, alternatives in kinds.items() if alternatives & {Tensor, float})
        _PARAMETER_NAMES[kind] = found
    return _PARAMETER_NAMES[kind]


# A dictionary, since torch.compile warns of functools.cache.
_PARAMETER_NAMES: dict[type[Shrinkage], tuple[str, ...]] = {}


def _numbers(value: Any) -> Sequence[Any]:
    """Return the numbers of a tensor, none if it cannot be read at once, or the value itself if it is no tensor.

    Comparing numbers is faster than comparing small tensors.
    """
    if not isinstance(value, Tensor):
        return (value,)
    can_read = value.device.type == "cpu" and not value.is_complex() and not is_tracing(value)
    return value.detach().flatten().tolist() if can_read else ()


def _slopes(function: Callable[[Tensor], Tensor], S: Tensor) -> Tensor:
    """Return the derivative of an elementwise function."""
    outputs, pull_back, *_ = torch.func.vjp(function, S)
    slopes: Tensor = pull_back(torch.ones_like(outputs))[0]
    return slopes


def pairs(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the first and the second value of every pair (i, j), (..., k, 1) and (..., 1, k)."""
    return values.unsqueeze(-1), values.unsqueeze(-2)


def tie_tolerance(dtype: torch.dtype) -> float:
    """Return the largest gap, relative to s_1, that counts as a tie: 8 units in the last place, 9.5e-7 in float32.

    Rounding, in the matrix and in its decomposition, splits a tie by up to three units.

    Args:
        dtype: of the singular values.
    """
    return 8 * torch.finfo(dtype).eps


def tied_pairs(S: Tensor) -> Tensor:
    """Return which pairs of singular values (..., k) are tied, (..., k, k)."""
    s_i, s_j = pairs(S)
    return (s_i - s_j).abs() <= tie_tolerance(S.dtype) * S[..., :1, None]
