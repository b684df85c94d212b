"""Crops of series of images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

Start = tuple[int, int, int]  # first frame, row and column of a crop


class Window(NamedTuple):
    """The size of a crop in time, height and width; None takes all there is."""

    time: int | None = None
    height: int | None = None
    width: int | None = None

    def of(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """The size of a crop of a series of this shape."""
        time, height, width = (have if want is None else want for have, want in zip(shape, self, strict=True))
        return time, height, width


@dataclass(frozen=True)
class Crops:
    """Which crops are made of each series.

    Args:
        window: their size.
        per_series: how many at random places; not used with strides.
        strides: distance of neighbouring crops in time, height and width, for crops on a grid that starts at the first
            frame, row and column.

    Raises:
        ValueError: if there is not at least one crop, or a stride is not positive.
    """

    window: Window = Window()  # noqa: RUF009  immutable
    per_series: int = 1
    strides: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        if self.per_series < 1:
            raise ValueError(f"{self.per_series} crops of each series, expected at least 1")
        if self.strides is not None and min(self.strides) < 1:
            raise ValueError(f"strides are {self.strides} in time, height and width, expected positive numbers")
        if self.strides is not None and self.per_series > 1:
            raise ValueError(
                f"strides {self.strides} say how many crops there are of each series, and so does {self.per_series}: "
                "leave one of them out"
            )

    def starts(self, shape: Sequence[int]) -> Iterator[Start | None]:
        """Where the crops of a series of this shape start, None for a random place."""
        if self.strides is None:
            yield from [None] * self.per_series
        else:
            sizes = self.window.of(shape)
            yield from product(
                *(range(0, have - size + 1, step) for have, size, step in zip(shape, sizes, self.strides, strict=True))
            )
