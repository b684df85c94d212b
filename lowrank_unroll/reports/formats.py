"""Numbers as people read them."""

from collections.abc import Sequence

from lowrank_unroll.reports.comparison import Difference
from lowrank_unroll.reports.evaluation import MetricValues, column, summarise


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
