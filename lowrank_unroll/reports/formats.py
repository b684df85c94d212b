"""How metrics are called and written for people."""

from collections.abc import Sequence
from typing import NamedTuple

from lowrank_unroll.reports.evaluation import Values, column, summarise


class Heading(NamedTuple):
    """What a metric is called, and whether more of it is better; None if unknown."""

    text: str
    more_is_better: bool | None


_HEADINGS = {
    "psnr": Heading("PSNR, dB", more_is_better=True),
    "ser": Heading("SER, dB", more_is_better=True),
    "ssim": Heading("SSIM", more_is_better=True),
    "mse": Heading("MSE", more_is_better=False),
    "nmse": Heading("NMSE", more_is_better=False),
    "hfen": Heading("HFEN", more_is_better=False),
}


def heading(metric: str) -> Heading:
    """The heading of a metric; its own name if it is one of yours."""
    return _HEADINGS.get(metric, Heading(metric, more_is_better=None))


def number(value: float | None) -> str:
    """A number in about three significant digits, or a dash."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    digits = 2 if abs(value) >= 1 else 3 if abs(value) >= 0.01 else 4  # noqa: PLR2004
    return f"{value:.{digits}f}"


def mean_and_spread(rows: Sequence[Values], metric: str) -> str:
    """Mean (standard deviation) of a metric over samples, as text."""
    found = summarise(column(rows, metric))
    return f"{number(found['mean'])} ({number(found['std'])})"
