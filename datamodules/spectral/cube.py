"""Multi- and hyperspectral cubes: bands first, whatever order of axes their file has."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.loading.lazy_arrays import LazyArray
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import DataError, UsageError

CHUNK = 2**24  # values that are read at once
Window = tuple[Any, slice, slice]  # bands, rows and columns


class BandsFirst:
    """An array of three dims in the order (band, height, width), of which only the windows asked for are read.

    Args:
        array: in any order.
        axes: the dims of the array that are band, height and width.
    """

    def __init__(self, array: LazyArray, axes: tuple[int, int, int]) -> None:
        self.array = array
        self.axes = axes
        self.shape = tuple(array.shape[axis] for axis in axes)

    def __getitem__(self, window: Window) -> npt.NDArray[np.float32]:
        """Read a window (band, height, width) in single precision; bands may be a list of increasing numbers."""
        index: list[Any] = [slice(None)] * len(self.axes)
        for axis, part in zip(self.axes, window, strict=True):
            index[axis] = part
        with np.errstate(over="ignore"):
            return self.array[tuple(index)].transpose(self.axes).astype(np.float32)


class Cube(NamedTuple):
    """A cube of real values, and its name.

    Attributes:
        values: (band, height, width), read window by window.
        name: human-readable name.
        largest: value, positive, in the unit of the values.
        bands: increasing numbers of the bands that are used.
        origin: see :class:`lowrank_unroll.sample.Sample`.
    """

    values: BandsFirst
    name: str
    largest: float
    bands: list[int]
    origin: str = "semi-synthetic"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(band, height, width) of what is used."""
        _, height, width = self.values.shape
        return len(self.bands), height, width

    def read(self, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
        """Read a window (band, height, width), in the unit of the values."""
        return self.values[self.bands, rows, columns]


def checked_cube(
    values: BandsFirst, name: str, place: str, bands: int | None = None, origin: str = "semi-synthetic"
) -> Cube:
    """Read all values once, and return the cube.

    Args:
        values: of the cube.
        name: of the cube.
        place: name of the values in errors.
        bands: how many to use, evenly spaced from the first to the last; None for all.
        origin: see :class:`lowrank_unroll.sample.Sample`.

    Raises:
        DataError: if a value is NaN or infinite, none is positive, or the values cannot be read; names the place.
        UsageError: if there are fewer bands.
    """
    check_at_least(1, bands=bands)
    number, height, width = values.shape
    if bands is not None and bands > number:
        raise UsageError(f"{place} has {number} bands, fewer than {bands}: ask for less with --data.bands")
    chosen = list(range(number)) if bands is None else _evenly_spaced(number, bands)
    cube = Cube(values, name, 0.0, chosen, origin)
    step = max(1, CHUNK // (len(chosen) * width))
    largest = 0.0
    for first in range(0, height, step):
        try:
            chunk = cube.read(slice(first, first + step), slice(None))
        except (OSError, ValueError) as error:  # ValueError where a mapped file has become shorter
            raise DataError(f"{place}: rows from {first} on cannot be read: {error}") from error
        if not np.isfinite(chunk).all():
            raise DataError(f"{place}: NaN, infinity or a value beyond single precision from row {first} on")
        largest = max(largest, float(chunk.max()))
    if largest <= 0:
        raise DataError(f"{place}: no value is positive, expected radiances or reflectances")
    return cube._replace(largest=largest)


def _evenly_spaced(number: int, bands: int) -> list[int]:
    return [round(index) for index in np.linspace(0, number - 1, bands)]


def check_same_bands(cubes: Sequence[Cube]) -> None:
    """Refuse cubes that do not fit in one batch.

    Raises:
        UsageError: names two whose numbers of bands differ.
    """
    for cube in cubes:
        if cube.shape[0] != cubes[0].shape[0]:
            raise UsageError(
                f"cube {cube.name} has {cube.shape[0]} bands, and {cubes[0].name} {cubes[0].shape[0]}: train on cubes "
                "of one sensor, or on as many bands of each with --data.bands"
            )
