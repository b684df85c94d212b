"""Crops of series of images: their size, their places, and which crop a draw is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch

from datamodules.loading.data_module import Split
from datamodules.loading.drawn_datasets import generator_of
from lowrank_unroll.checks import check_at_least, check_sides
from lowrank_unroll.errors import UsageError

Start = tuple[int, int, int]  # first frame, row and column of a crop


class Window(NamedTuple):
    """The size of a crop in time, height and width; None takes all there is."""

    time: int | None = None
    height: int | None = None
    width: int | None = None

    def of(self, shape: Sequence[int]) -> tuple[int, int, int]:
        """Return the size of a crop of a series of this shape."""
        time, height, width = (have if want is None else want for have, want in zip(shape, self, strict=True))
        return time, height, width

    def check_fits(self, name: str, shape: Sequence[int]) -> None:
        """Refuse a series of this shape if it is smaller than the window.

        Raises:
            UsageError: if it is smaller; names the series, and the argument of the DataModule.
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
        """Return the slices of a crop of a series of this shape, at a start or, if that is None, at a random place."""
        begin: Sequence[int] = start or [
            0 if want is None else int(torch.randint(have - want + 1, (), generator=generator))
            for have, want in zip(shape, self, strict=True)
        ]
        time, height, width = (slice(first, first + size) for first, size in zip(begin, self.of(shape), strict=True))
        return time, height, width


@dataclass(frozen=True)
class Crops:
    """The crops of each series: some at random places, or all of a grid.

    Args:
        window: size of a crop.
        crops_per_cine: number of crops at random places; not used with strides.
        crop_strides: steps in time, height and width of a grid of crops, which starts at the first frame, row and
            column; None for random places.

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
                f"crops_per_cine is {self.crops_per_cine}, but crop_strides {self.crop_strides} already determine "
                "the number of crops of a series: leave one of them out"
            )

    def of_split(self, split: Split) -> "Crops":
        """Return these crops for training, one of each series for validation, and whole series for all else."""
        return {"train": self, "val": Crops(self.window)}.get(split, Crops())

    def starts(self, shape: Sequence[int]) -> Iterator[Start | None]:
        """Yield the starts of the crops of a series of this shape, None for a random place."""
        if self.crop_strides is None:
            yield from [None] * self.crops_per_cine
        else:
            sides = zip(shape, self.window.of(shape), self.crop_strides, strict=True)
            yield from product(*(range(0, have - size + 1, step) for have, size, step in sides))


class Series(Protocol):
    """A series of images or of k-space."""

    @property
    def name(self) -> str:
        """Name of the series."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, height, width)."""


Kind = TypeVar("Kind", bound=Series)


class DrawnCrop(NamedTuple, Generic[Kind]):
    """A crop: its series, its slices, its name, and the generator of everything else random about the sample."""

    series: Kind
    window: tuple[slice, slice, slice]
    name: str
    generator: torch.Generator


class DrawnCrops(Generic[Kind]):
    """Crops of series, each a function of the seeds and its draw.

    Draws below the length are always the same crops; one beyond it is the crop at the draw modulo the length, at a
    fresh random place.

    Args:
        series: to crop.
        seeds: of everything random.
        crops: the crops of each series; the length is their number.

    Raises:
        UsageError: if a series is smaller than the window; names the series.
    """

    def __init__(self, series: Sequence[Kind], seeds: Sequence[int], crops: Crops) -> None:
        for one in series:
            crops.window.check_fits(one.name, one.shape)
        self.seeds, self.window = seeds, crops.window
        self.crops = [(one, start) for one in series for start in crops.starts(one.shape)]
        self.one_crop_each = len(self.crops) == len(series)

    def __len__(self) -> int:
        """Return the number of crops."""
        return len(self.crops)

    def __call__(self, draw: int) -> DrawnCrop[Kind]:
        """Return the crop of a draw."""
        series, start = self.crops[draw % len(self)]
        generator = generator_of(*self.seeds, draw)
        name = series.name if self.one_crop_each and draw < len(self) else f"{series.name}[draw {draw}]"
        return DrawnCrop(series, self.window.place(series.shape, start, generator), name, generator)
