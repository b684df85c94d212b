"""Crops of series of images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import torch

from lowrank_unroll.checks import check_at_least, check_sides
from lowrank_unroll.errors import UsageError

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

    def check_fits(self, name: str, shape: Sequence[int]) -> None:
        """Refuse a series of this shape that is smaller than a crop of it.

        Raises:
            UsageError: names the series, and the argument of the DataModule.
        """
        for side, have, want in zip(self._fields, shape, self, strict=True):
            if want is not None and have < want:
                argument = "frames" if side == "time" else "crop"
                raise UsageError(
                    f"series {name} is {tuple(shape)} (time, height, width), and a crop of {want} in {side} does not "
                    f"fit: ask for less with --data.{argument}"
                )

    def place(
        self, shape: Sequence[int], start: Start | None, generator: torch.Generator
    ) -> tuple[slice, slice, slice]:
        """The slices of a crop of a series of this shape that begins at a start, or at a random place."""
        begin: Sequence[int] = start or [
            0 if want is None else int(torch.randint(have - want + 1, (), generator=generator))
            for have, want in zip(shape, self, strict=True)
        ]
        time, height, width = (slice(first, first + size) for first, size in zip(begin, self.of(shape), strict=True))
        return time, height, width


@dataclass(frozen=True)
class Crops:
    """Which crops are made of each series.

    Args:
        window: their size.
        crops_per_cine: how many at random places; not used with strides.
        crop_strides: distance of neighbouring crops in time, height and width, for crops on a grid that starts at the
            first frame, row and column.

    Raises:
        ValueError: if there is not at least one crop, or a size or stride is not positive; names the argument of
            :class:`DynamicDataModule`.
    """

    window: Window = Window()  # noqa: RUF009  immutable
    crops_per_cine: int = 1
    crop_strides: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        check_at_least(1, frames=self.window.time, crops_per_cine=self.crops_per_cine)
        check_sides("time, height, width", crop_strides=self.crop_strides)
        if self.crop_strides is not None and self.crops_per_cine > 1:
            raise ValueError(
                f"crops_per_cine is {self.crops_per_cine}, but crop_strides {self.crop_strides} say already how many "
                "crops there are of each series: leave one of them out"
            )

    def starts(self, shape: Sequence[int]) -> Iterator[Start | None]:
        """Where the crops of a series of this shape start, None for a random place."""
        if self.crop_strides is None:
            yield from [None] * self.crops_per_cine
        else:
            sides = zip(shape, self.window.of(shape), self.crop_strides, strict=True)
            yield from product(*(range(0, have - size + 1, step) for have, size, step in sides))
