"""One self-contained HTML page of a test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import jinja2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from PIL import Image

from lowrank_unroll.files import write_whole
from lowrank_unroll.names import one_line, printable
from lowrank_unroll.pictures import data_uri, encode_figure, encode_image
from lowrank_unroll.reports.evaluation import Evaluation, MetricValues, column, summarise
from lowrank_unroll.reports.figures import distributions
from lowrank_unroll.reports.formats import mean_and_spread, number
from lowrank_unroll.reports.headings import Heading


class PlayedSeries(NamedTuple):
    """A series to play on the page: captions of the pictures side by side, and frames (time, height, width), uint8."""

    name: str
    captions: Sequence[str]
    frames: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Page:
    """Contents of the page.

    Attributes:
        evaluation: of the test.
        compared: metrics of each sample by the name of the method, that of the test first.
        panels: a PNG file of pictures.
        cines: series to play.
        figures: more plots, or PNG files, by caption.
        config: the resolved config of the run.
        warnings: what a reader must know about comparisons.
    """

    evaluation: Evaluation
    compared: Mapping[str, Sequence[MetricValues]]
    panels: Path | None = None
    cines: Sequence[PlayedSeries] = ()
    figures: Mapping[str, Figure | Path] = field(default_factory=dict)
    config: str | None = None
    warnings: Sequence[str] = ()

    def write(self, path: Path) -> None:
        """Write the page, with everything it needs inside."""
        environment = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, finalize=_printable
        )
        environment.filters |= {"number": number, "frames_uri": frames_uri, "one_line": one_line}
        template = environment.from_string(resources.files(__package__).joinpath("page.html").read_text("utf-8"))
        evaluation = self.evaluation
        text = template.render(
            page=self,
            evaluation=evaluation,
            headings={metric: evaluation.heading(metric).text for metric in evaluation.metrics},
            summary=summary_rows(
                dict(self.compared) | evaluation.untrained() | {evaluation.adjoint_name: evaluation.zero_filled()},
                {metric: evaluation.heading(metric) for metric in evaluation.metrics},
            ),
            seconds=self._seconds(),
            distributions=figure_uri(distributions(dict(self.compared) | evaluation.untrained(), evaluation.headings)),
            panels=self.panels and figure_uri(self.panels),
            figures={caption: figure_uri(figure) for caption, figure in self.figures.items()},
        )
        write_whole(path, text.encode(errors="backslashreplace"))

    def _seconds(self) -> dict[str, float]:
        """Return the seconds per sample of each method of this test."""
        times = {self.evaluation.network: self.evaluation.seconds()}
        times |= {name: self.evaluation.seconds(name) for name in self.evaluation.untrained()}
        return {name: taken for name, taken in times.items() if taken is not None}


def _printable(value: object) -> object:
    """Make plain text printable; leave other objects, and the HTML of the page itself, as they are."""
    return printable(value) if type(value) is str else value


class SummaryValue(NamedTuple):
    """A value of the summary, as text, and whether it is the best of all methods."""

    text: str
    best: bool


def summary_rows(
    methods: Mapping[str, Sequence[MetricValues]], headings: Mapping[str, Heading]
) -> dict[str, list[SummaryValue]]:
    """Return mean (std) of every metric, by name in ``headings``, for each method, the best mean marked."""
    best = {metric: _best(methods, metric, heading.higher_is_better) for metric, heading in headings.items()}
    return {
        name: [SummaryValue(mean_and_spread(rows, metric), best=name in best[metric]) for metric in headings]
        for name, rows in methods.items()
    }


def _best(
    methods: Mapping[str, Sequence[MetricValues]],
    metric: str,
    higher_is_better: bool | None,
) -> list[str]:
    """Return the methods with the best mean; none where it is unknown what is better."""
    means = {name: summarise(column(rows, metric))["mean"] for name, rows in methods.items()}
    defined = [mean for mean in means.values() if mean is not None]
    if higher_is_better is None or not defined:
        return []
    best = max(defined) if higher_is_better else min(defined)
    return [name for name, mean in means.items() if mean == best]


def figure_uri(figure: Figure | Path) -> str:
    """Return a figure as an SVG, or a PNG file, that HTML can hold."""
    if isinstance(figure, Path):
        return data_uri("image/png", figure.read_bytes())
    return data_uri("image/svg+xml", encode_figure(figure, "svg", metadata={"Date": None}))


def frames_uri(series: PlayedSeries) -> str:
    """Return all frames of a series, one below the other, as a PNG that HTML can hold."""
    stacked = series.frames.reshape(-1, series.frames.shape[-1])
    return data_uri("image/png", encode_image(Image.fromarray(stacked), optimize=True))
