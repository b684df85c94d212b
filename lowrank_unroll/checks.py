"""Arguments are checked where they are given, in words that name them."""

import math


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


def check_share(**values: float | None) -> None:
    """Refuse shares outside (0, 1]; None stands for a default and passes.

    Raises:
        ValueError: names the first that is not.
    """
    for name, value in values.items():
        if value is not None and not (0 < value <= 1):
            raise ValueError(f"{name} is {value}, expected a share, above 0 and at most 1")
