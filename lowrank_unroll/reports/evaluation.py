"""Results of a test as data, in files that other programs can read."""

import csv
import io
import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from lowrank_unroll.errors import DataError, first_line
from lowrank_unroll.files import write_whole
from lowrank_unroll.names import spreadsheet_cell
from lowrank_unroll.reports.headings import Heading

MetricValues = dict[str, float | None]  # by metric; None where the target is black and the metric undefined
METRICS_FILE = "metrics.json"
TESTED = "reconstruction"  # the method that is tested, among those it is compared to
WRITER = "`lowrank-unroll test`, or by another version of it"
Result = TypeVar("Result", "SampleResult", "Evaluation", Heading)


@dataclass(frozen=True)
class SampleResult:
    """Metrics of one test sample.

    Attributes:
        name: of the sample.
        origin: of its data, see :class:`lowrank_unroll.sample.Sample`.
        mask: a hash of its mask.
        norm: of the target, in the data's own unit.
        reconstruction: by metric, of the reconstruction.
        zero_filled: by metric, of the adjoint reconstruction.
        untrained: by method and metric, of the methods without training that the test compares with.
        seconds: by method; that of the network tested is called "reconstruction".
    """

    name: str
    origin: str
    mask: str
    norm: float
    reconstruction: MetricValues
    zero_filled: MetricValues
    untrained: dict[str, MetricValues] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluation:
    """Results of a test, and what was tested.

    Attributes:
        run: folder of the run.
        network: name of its class.
        parameters: how many it has.
        seed: of the data; None if unknown.
        checkpoint: file of the weights; None if there are none.
        command: runs the same test again.
        versions: of the packages it ran with.
        samples: the test samples, in order; at least one.
        headings: of the metrics, by name; those that are known.
        adjoint_name: name of the adjoint reconstruction.
    """

    run: str
    network: str
    parameters: int
    seed: int | None
    checkpoint: str | None
    command: str
    versions: dict[str, str]
    samples: list[SampleResult]
    headings: dict[str, Heading] = field(default_factory=dict)
    adjoint_name: str = "zero-filled"

    @property
    def metrics(self) -> list[str]:
        """The names of the metrics."""
        return list(self.samples[0].reconstruction)

    def heading(self, metric: str) -> Heading:
        """Return the heading of a metric, its name if nothing else is known of it."""
        return self.headings.get(metric, Heading(metric))

    @property
    def origin(self) -> str:
        """The origins of the data, each once."""
        return " and ".join(dict.fromkeys(sample.origin for sample in self.samples))

    def reconstructions(self) -> list[MetricValues]:
        """Return the metrics of each reconstruction."""
        return [sample.reconstruction for sample in self.samples]

    def zero_filled(self) -> list[MetricValues]:
        """Return the metrics of each adjoint reconstruction."""
        return [sample.zero_filled for sample in self.samples]

    def untrained(self) -> dict[str, list[MetricValues]]:
        """Return the metrics of each reconstruction by methods without training, by method."""
        return {name: [sample.untrained[name] for sample in self.samples] for name in self.samples[0].untrained}

    def seconds(self, method: str = TESTED) -> float | None:
        """Return the mean time that a method took for a sample; None if it was not measured."""
        times = [sample.seconds[method] for sample in self.samples if method in sample.seconds]
        return summarise(np.array(times))["mean"]

    def _by_method(self) -> dict[str, list[MetricValues]]:
        return {TESTED: self.reconstructions(), "zero_filled": self.zero_filled(), **self.untrained()}

    def table(self) -> tuple[list[str], list[list[str | float | None]]]:
        """Return :meth:`columns_and_rows`, by its name until version 0.1."""
        warnings.warn("Evaluation.table is now columns_and_rows", DeprecationWarning, stacklevel=2)
        return self.columns_and_rows()

    def columns_and_rows(self) -> tuple[list[str], list[list[str | float | None]]]:
        """Return the names of the columns, and a row for each sample."""
        header, *others = (
            [metric if method == TESTED else f"{method}_{metric}" for metric in self.metrics]
            for method in self._by_method()
        )
        rows = zip(self.samples, *self._by_method().values(), strict=True)
        return ["image", "origin", *header, *chain(*others)], [
            [sample.name, sample.origin, *chain(*(values.values() for values in methods))] for sample, *methods in rows
        ]

    def write(self, folder: Path) -> None:
        """Write ``metrics.json`` and ``metrics.csv`` into a folder.

        In the latter, an apostrophe stands before text that a spreadsheet would execute.
        """
        statistics = {
            name: {metric: summarise(column(rows, metric)) for metric in self.metrics}
            for name, rows in self._by_method().items()
        }
        content = _without_infinity(asdict(self) | {"statistics": statistics})
        write_whole(folder / METRICS_FILE, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())
        header, rows = self.columns_and_rows()
        found = [of_metric for by_metric in statistics.values() for of_metric in by_metric.values()]
        table: list[Sequence[str | float | None]] = [header, *rows]
        table += [[name, "", *(of_metric[name] for of_metric in found)] for name in ("mean", "std")]
        text = io.StringIO(newline="")
        csv.writer(text).writerows(
            [spreadsheet_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in table
        )
        write_whole(folder / "metrics.csv", text.getvalue().encode(errors="backslashreplace"))


def read_evaluation(path: Path) -> Evaluation:
    """Read the results of a finished test from its run folder, the folder `test` in it, or `metrics.json`.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if the file was not written by a test; names it.
    """
    candidates = [path, path / METRICS_FILE, path / "test" / METRICS_FILE]
    file = next((candidate for candidate in candidates if candidate.is_file()), None)
    if file is None:
        raise FileNotFoundError(
            f"{path} holds no finished test: give a folder that `lowrank-unroll test` has written, with "
            f"test/{METRICS_FILE} in it"
        )
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise TypeError(f"it holds a {type(content).__name__}")  # noqa: TRY301  reported as the other errors are
        samples = [_checked(SampleResult, _with_infinity(sample)) for sample in content["samples"]]
        if not samples:
            raise ValueError("it has no samples")  # noqa: TRY301
        del content["statistics"]
        headings = {name: _checked(Heading, heading) for name, heading in content.get("headings", {}).items()}
        return _checked(Evaluation, content | {"samples": samples, "headings": headings})
    except KeyError as error:
        raise DataError(f"{file} was not written by {WRITER}: it has no {error}") from error
    except (ArithmeticError, AttributeError, RecursionError, TypeError, ValueError) as error:
        raise DataError(f"{file} was not written by {WRITER}: {first_line(error)}") from error


def _checked(kind: type[Result], content: dict[str, Any]) -> Result:
    """Make a result of the content of a file, and check the types."""
    made = kind(**content)
    for name, hint in get_type_hints(kind).items():
        types = get_args(hint) if isinstance(hint, UnionType) else get_origin(hint) or hint
        if not isinstance(getattr(made, name), types):
            raise TypeError(f"{name} is {getattr(made, name)!r}")
    return made


def column(rows: Sequence[MetricValues], metric: str) -> npt.NDArray[np.float64]:
    """Return the values of one metric where it is defined."""
    return np.array([value for row in rows if (value := row.get(metric)) is not None], dtype=float)


def summarise(values: npt.NDArray[np.float64]) -> dict[str, float | None]:
    """Return mean and standard deviation (with n - 1) of values; None for what is not defined."""
    with np.errstate(all="ignore"):  # infinity and NaN are results here, not errors
        return {
            "mean": float(values.mean()) if len(values) > 0 else None,
            "std": float(values.std(ddof=1)) if len(values) > 1 and np.isfinite(values).all() else None,
        }


def _without_infinity(content: Any) -> Any:
    """Replace the numbers that JSON does not know by text."""
    if isinstance(content, dict):
        return {name: _without_infinity(value) for name, value in content.items()}
    if isinstance(content, list):
        return [_without_infinity(value) for value in content]
    return str(content) if isinstance(content, float) and not math.isfinite(content) else content


def _with_infinity(sample: dict[str, Any]) -> dict[str, Any]:
    def numbers(values: dict[str, Any]) -> MetricValues:
        return {metric: None if value is None else float(value) for metric, value in values.items()}

    return sample | {
        "reconstruction": numbers(sample["reconstruction"]),
        "zero_filled": numbers(sample["zero_filled"]),
        "untrained": {name: numbers(values) for name, values in sample.get("untrained", {}).items()},
        "norm": float(sample["norm"]),
    }
