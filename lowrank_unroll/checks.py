"""Checks of arguments, with errors that name the argument."""

import math
from collections.abc import Sequence

from lowrank_unroll.errors import UsageError


def check_at_least(minimum: int, **values: int | None) -> None:
    """Refuse counts and sizes that are too small; None stands for a default and passes.

    Raises:
        ValueError: names the first that is below the minimum.
    """
    for name, value in values.items():
        if value is not None and value < minimum:
            raise ValueError(f"{name} is {value}, expected at least {minimum}")


def check_positive(**values: float | None) -> None:
    """Refuse amounts that are not positive and finite; None stands for a default and passes.

    Raises:
        ValueError: names the first that is not.
    """
    for name, value in values.items():
        if value is not None and not (0 < value < math.inf):
            raise ValueError(f"{name} is {value}, expected a positive number")


def check_not_negative(**values: float | None) -> None:
    """Refuse amounts that are negative or not finite; None stands for a default and passes.

    Raises:
        ValueError: names the first that is.
    """
    for name, value in values.items():
        if value is not None and not (0 <= value < math.inf):
            raise ValueError(f"{name} is {value}, expected 0 or a positive number")


def check_share(**values: float | None) -> None:
    """Refuse shares outside (0, 1]; None stands for a default and passes.

    Raises:
        ValueError: names the first that is not.
    """
    for name, value in values.items():
        if value is not None and not (0 < value <= 1):
            raise ValueError(f"{name} is {value}, expected a share, above 0 and at most 1")


def check_probability(**values: float) -> None:
    """Refuse probabilities outside [0, 1].

    Raises:
        ValueError: names the first that is not.
    """
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value}, expected a share, at least 0 and at most 1")


def check_fraction(**values: float) -> None:
    """Refuse fractions outside (0, 1).

    Raises:
        ValueError: names the first that is not.
    """
    for name, value in values.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} is {value}, expected a fraction between 0 and 1")


def check_sides(sides: str, **values: Sequence[int] | None) -> None:
    """Refuse sizes that are not one positive number per side; None stands for a default and passes.

    Args:
        sides: their names, such as "height, width".
        values: sizes, a number for each side.

    Raises:
        ValueError: names the first that is not.
    """
    for name, value in values.items():
        if value is not None and (len(value) != len(sides.split(", ")) or min(value) < 1):
            raise ValueError(f"{name} is {value}, expected ({sides}), each at least 1")


def check_axes(module: object, other: object, instead: str) -> None:
    """Refuse an object whose ``image_axes`` differ from those of a module; None fits all kinds of images.

    Raises:
        UsageError: names both, and the arguments to change.
    """
    ours, theirs = (getattr(one, "image_axes", None) for one in (module, other))
    if ours is not None and theirs is not None and ours != theirs:
        raise UsageError(
            f"{type(module).__name__} is for images ({', '.join(ours)}), but {type(other).__name__} for images "
            f"({', '.join(theirs)}): choose another {instead}"
        )
