"""Metrics and numbers as people read them."""

from collections.abc import Sequence
from typing import NamedTuple

from lowrank_unroll.reports.comparison import Difference
from lowrank_unroll.reports.evaluation import MetricValues, column, summarise


class Heading(NamedTuple):
    """The name of a metric for people, and whether higher values are better; None if unknown."""

    text: str
    more_is_better: bool | None


_HEADINGS = {
    "psnr": Heading("PSNR, dB", more_is_better=True),
    "ser": Heading("SER, dB", more_is_better=True),
    "ssim": Heading("SSIM", more_is_better=True),
    "mse": Heading("MSE", more_is_better=False),
    "nmse": Heading("NMSE", more_is_better=False),
    "hfen": Heading("HFEN", more_is_better=False),
    "sam": Heading("SAM, °", more_is_better=False),
    "ergas": Heading("ERGAS", more_is_better=False),
}


def heading(metric: str) -> Heading:
    """Return the heading of a metric; for a metric of your own its name."""
    return _HEADINGS.get(metric, Heading(metric, more_is_better=None))


def number(value: float | None) -> str:
    """Return a number in about three significant digits, or a dash."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    digits = 2 if abs(value) >= 1 else 3 if abs(value) >= 0.01 else 4  # noqa: PLR2004
    return f"{value:.{digits}f}"


def mean_and_spread(rows: Sequence[MetricValues], metric: str) -> str:
    """Return mean (standard deviation) of a metric over samples, as text."""
    found = summarise(column(rows, metric))
    return f"{number(found['mean'])} ({number(found['std'])})"


def difference_and_interval(difference: Difference | None) -> str:
    """Return a difference and its confidence interval, all with signs, as text, or a dash."""
    if difference is None:
        return "-"
    mean, low, high = (f"{'+' if value > 0 else ''}{number(value)}" for value in difference)
    return f"{mean} [{low}, {high}]"
