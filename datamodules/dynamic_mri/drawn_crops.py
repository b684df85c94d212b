"""Which crop of which series a draw is."""

from collections.abc import Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

import torch

from datamodules.dynamic_mri.crops import Crops
from datamodules.loading.random_numbers import generator_of


class Series(Protocol):
    """What crops are drawn of."""

    @property
    def name(self) -> str:
        """What to call it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, height, width)."""


Kind = TypeVar("Kind", bound=Series)


class DrawnCrop(NamedTuple, Generic[Kind]):
    """A crop: of what, where, what to call it, and the random numbers of all else about it."""

    series: Kind
    window: tuple[slice, slice, slice]
    name: str
    generator: torch.Generator


class DrawnCrops(Generic[Kind]):
    """Crops of series, each a function of the seeds and its draw.

    Draws up to the length are always the same crops; one beyond is the crop at the draw modulo the length, at a fresh
    random place.

    Args:
        series: to crop.
        seeds: of everything random.
        crops: which crops of each series there are; the length is how many.

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
        """The number of crops."""
        return len(self.crops)

    def __call__(self, draw: int) -> DrawnCrop[Kind]:
        """The crop of a draw."""
        series, start = self.crops[draw % len(self)]
        generator = generator_of(*self.seeds, draw)
        name = series.name if self.one_crop_each and draw < len(self) else f"{series.name}[draw {draw}]"
        return DrawnCrop(series, self.window.place(series.shape, start, generator), name, generator)
