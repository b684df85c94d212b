"""Distances from the exact gradient that a training records, in a table that other programs can read."""

import csv
from pathlib import Path
from typing import NamedTuple

from lowrank_unroll.errors import DataError

GRADIENT_FILE = "gradient_distance.csv"


class GradientDistanceRow(NamedTuple):
    """||g - g_exact|| / ||g_exact|| over all parameters at one training step; nan where g is not finite."""

    step: int
    distance: float


def read_gradient_distances(file: Path) -> list[GradientDistanceRow]:
    """Read the table that :class:`~lowrank_unroll.callbacks.GradientDistance` writes.

    Raises:
        DataError: if it is another table; names it.
    """
    try:
        with file.open(encoding="utf-8", newline="") as text:
            return [GradientDistanceRow(int(row["step"]), float(row["distance"])) for row in csv.DictReader(text)]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{file} was not written by GradientDistance: expected the columns step, distance") from error
