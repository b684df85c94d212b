"""One self-contained HTML page of what a test found."""

import base64
import io
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
from lowrank_unroll.reports.evaluation import Evaluation, Values, column, summarise
from lowrank_unroll.reports.figures import distributions
from lowrank_unroll.reports.formats import heading, mean_and_spread, number


class Cine(NamedTuple):
    """A series to play: the names of its pictures side by side, and frames (time, height, width), uint8."""

    name: str
    captions: Sequence[str]
    frames: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Page:
    """What a report shows.

    Attributes:
        evaluation: what was found.
        compared: metrics of each sample by the name of the method, the one tested first.
        panels: a PNG file of pictures.
        cines: series to play.
        figures: more plots, or PNG files, by caption.
        config: the resolved config of the run.
        warnings: what a reader must know about comparisons.
    """

    evaluation: Evaluation
    compared: Mapping[str, Sequence[Values]]
    panels: Path | None = None
    cines: Sequence[Cine] = ()
    figures: Mapping[str, Figure | Path] = field(default_factory=dict)
    config: str | None = None
    warnings: Sequence[str] = ()

    def write(self, path: Path) -> None:
        """Write the page, with everything it needs inside."""
        environment = jinja2.Environment(
            autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, finalize=_printable
        )
        environment.filters |= {"number": number, "data_uri": data_uri, "one_line": one_line}
        template = environment.from_string(resources.files(__package__).joinpath("page.html").read_text("utf-8"))
        evaluation = self.evaluation
        text = template.render(
            page=self,
            evaluation=evaluation,
            headings={metric: heading(metric).text for metric in evaluation.metrics},
            summary=summary_rows(
                dict(self.compared) | evaluation.untrained() | {"zero-filled": evaluation.zero_filled()},
                evaluation.metrics,
            ),
            seconds=self._seconds(),
            distributions=figure_uri(distributions(dict(self.compared) | evaluation.untrained())),
            panels=self.panels and figure_uri(self.panels),
            figures={caption: figure_uri(figure) for caption, figure in self.figures.items()},
        )
        write_whole(path, text.encode(errors="backslashreplace"))

    def _seconds(self) -> dict[str, float]:
        """How long each method of this test took for a sample."""
        times = {self.evaluation.network: self.evaluation.seconds()}
        times |= {name: self.evaluation.seconds(name) for name in self.evaluation.untrained()}
        return {name: taken for name, taken in times.items() if taken is not None}


def _printable(value: object) -> object:
    """Show text as text; leave what is none, or is HTML of the page's own."""
    return printable(value) if type(value) is str else value


class Cell(NamedTuple):
    """A value of the summary, as text, and whether no method is better."""

    text: str
    best: bool


def summary_rows(methods: Mapping[str, Sequence[Values]], metrics: Sequence[str]) -> dict[str, list[Cell]]:
    """Mean (std) of every metric for each method, the best mean marked."""
    best = {metric: _best(methods, metric) for metric in metrics}
    return {
        name: [Cell(mean_and_spread(rows, metric), best=name in best[metric]) for metric in metrics]
        for name, rows in methods.items()
    }


def _best(methods: Mapping[str, Sequence[Values]], metric: str) -> list[str]:
    """Which methods have the best mean; none if nobody knows what is better."""
    means = {name: summarise(column(rows, metric))["mean"] for name, rows in methods.items()}
    defined = [mean for mean in means.values() if mean is not None]
    more_is_better = heading(metric).more_is_better
    if more_is_better is None or not defined:
        return []
    best = max(defined) if more_is_better else min(defined)
    return [name for name, mean in means.items() if mean == best]


def figure_uri(figure: Figure | Path) -> str:
    """A figure as an SVG, or a PNG file, that HTML can hold."""
    if isinstance(figure, Path):
        return _uri("image/png", figure.read_bytes())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _uri("image/svg+xml", buffer.getvalue())


def data_uri(cine: Cine) -> str:
    """All frames of a series, one below the other, as a PNG that HTML can hold."""
    buffer = io.BytesIO()
    Image.fromarray(cine.frames.reshape(-1, cine.frames.shape[-1])).save(buffer, format="png", optimize=True)
    return _uri("image/png", buffer.getvalue())


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
