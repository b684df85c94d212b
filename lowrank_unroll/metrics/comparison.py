"""The common part of all measures of quality: what they refuse, the precision and unit they compute in, the best."""

import math
from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

Measure = Callable[[Tensor, Tensor], Tensor]
ATTRIBUTES = ("higher_is_better", "label", "unit")


def compares(
    axes: str = "...",
    *,
    higher_is_better: bool,
    label: str = "",
    unit: str = "",
    smallest: int = 1,
    real: bool = False,
    scale_free: bool = False,
) -> Callable[[Measure], Measure]:
    """Make a measure of a function of (reconstruction, target): it refuses what cannot be compared.

    Args:
        axes: names of the dims of a sample, "..." for any.
        higher_is_better: of two reconstructions, the one with the higher value.
        label: name for tables and plots; "" for the name that a module gives it.
        unit: of the values, such as "dB"; "" if they have none. The measure has these three as attributes.
        smallest: least height and width, in pixels.
        real: whether complex images are refused.
        scale_free: whether the unit of the images does not matter. Both are then scaled so that the target's largest
            magnitude is about 1, and squares neither over- nor underflow.
    """

    def decorate(function: Measure) -> Measure:
        @wraps(function)
        def measure(reconstruction: Tensor, target: Tensor) -> Tensor:
            reconstruction, target = comparable(reconstruction, target)
            _check_shape(target, axes, smallest)
            if real and target.is_complex():
                raise TypeError("the images are complex, expected real ones, such as magnitudes (see of_magnitudes)")
            if scale_free:
                inverse_unit = _inverse_unit(target)
                reconstruction, target = reconstruction * inverse_unit, target * inverse_unit
            return function(reconstruction, target)

        vars(measure).update(higher_is_better=higher_is_better, label=label, unit=unit)
        return measure

    return decorate


def with_attributes_of(source: Measure, measure: Measure) -> Measure:
    """Give a measure the direction, the label and the unit of another one, as far as that has them."""
    vars(measure).update({name: getattr(source, name) for name in ATTRIBUTES if hasattr(source, name)})
    return measure


def comparable(reconstruction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return both images in the more precise dtype of the two, at least single precision.

    Raises:
        TypeError: if one is neither floating-point nor complex.
        ValueError: if their shapes differ.
    """
    for name, image in (("reconstruction", reconstruction), ("target", target)):
        if not (image.is_floating_point() or image.is_complex()):
            raise TypeError(f"the {name} is {image.dtype}, expected floating-point or complex numbers")
    if reconstruction.shape != target.shape:
        given, expected = tuple(reconstruction.shape), tuple(target.shape)
        raise ValueError(f"the reconstruction is {given}, the target {expected}, expected the same shape")
    dtype = torch.promote_types(torch.promote_types(reconstruction.dtype, target.dtype), torch.float32)
    return reconstruction.to(dtype), target.to(dtype)


def _check_shape(target: Tensor, axes: str, smallest: int) -> None:
    names, sample = axes.split(", "), target.shape[1:]
    any_number = names[0] == "..."
    fits = len(sample) >= max(1, len(names) - 1) if any_number else len(sample) == len(names)
    if not fits or min(sample) < 1 or min(sample[-2:]) < smallest:
        at_least = f", height and width at least {smallest}" if smallest > 1 else ""
        raise ValueError(f"the images are {tuple(target.shape)}, expected (batch, {axes}){at_least}")


def _inverse_unit(target: Tensor) -> Tensor:
    """Return the factor that makes the largest magnitude of each sample about 1, a power of two for exact products."""
    limit = -math.log2(torch.finfo(target.dtype).tiny)
    peak = target.abs().flatten(1).amax(1)
    return torch.exp2(-peak.log2().floor().clamp(-limit, limit)).reshape(-1, *[1] * (target.ndim - 1))
