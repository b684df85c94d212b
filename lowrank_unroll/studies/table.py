"""Table of a study, as Markdown and as CSV."""

import csv
import io
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lowrank_unroll.names import markdown_cell, spreadsheet_cell
from lowrank_unroll.reports import (
    Difference,
    Evaluation,
    Heading,
    MetricValues,
    difference_and_interval,
    difference_of,
    number,
)
from lowrank_unroll.studies.definition import Study
from lowrank_unroll.studies.outcome import Outcome

DISTANCE = "distance from the exact gradient, median (largest)"
PARAMETERS = "parameters"

Scores = dict[int, dict[str, float]]  # of a metric, by seed and sample


class Distances(NamedTuple):
    """Median and largest of the distances that trainings recorded; nan if one of them is not finite."""

    median: float
    largest: float


class Row(NamedTuple):
    """A method under a condition.

    Attributes:
        condition: name of the condition.
        method: name of the method.
        seeds: number of finished trainings; 0 for a method without training.
        diverged: number of trainings whose gradient was not finite.
        mean: of the metric, over samples and seeds; None where nothing is finished.
        spread: standard deviation of the seeds' means.
        difference: to the reference, of samples averaged over the seeds that both have, with its interval.
        gradient_distance: from the exact gradient over the trainings, where it was recorded.
        parameters: of the network; None for a method without training, or where nothing is finished.
        seconds: per sample.
    """

    condition: str
    method: str
    seeds: int
    diverged: int
    mean: float | None
    spread: float | None
    difference: Difference | None
    gradient_distance: Distances | None
    parameters: int | None
    seconds: float | None


def rows_of(study: Study, found: Sequence[Outcome]) -> list[Row]:
    """Return a row for each method under each condition, and for each method without training in the tests."""
    rows = []
    for condition in study.conditions:
        here = [outcome for outcome in found if outcome.condition == condition]
        reference = next(outcome for outcome in here if outcome.method == study.reference)
        against = _scores(reference.tests, study.metric)
        for outcome in here:
            row = _trained(outcome, study.metric)
            compared = None if outcome is reference else _difference(against, _scores(outcome.tests, study.metric))
            rows.append(row._replace(difference=compared))
        rows += _untrained(condition, here, study.metric, against)
    return rows


def _trained(outcome: Outcome, metric: str) -> Row:
    of_seeds = [_mean(list(of_samples.values())) for of_samples in _scores(outcome.tests, metric).values()]
    means = [mean for mean in of_seeds if mean is not None]
    return Row(
        outcome.condition,
        outcome.method,
        seeds=len(outcome.tests),
        diverged=len(outcome.diverged),
        mean=_mean(means),
        spread=float(np.std(means, ddof=1)) if len(means) > 1 else None,
        difference=None,
        gradient_distance=_distances(outcome.gradient_distances),
        parameters=next((test.parameters for test in outcome.tests.values()), None),
        seconds=_mean([test.seconds() for test in outcome.tests.values()]),
    )


def _distances(values: Sequence[float]) -> Distances | None:
    # NaN counts as larger than every number, in the median too.
    ordered = sorted(values, key=lambda value: math.inf if math.isnan(value) else value)
    return Distances(ordered[len(ordered) // 2], ordered[-1]) if ordered else None


def _untrained(condition: str, here: Sequence[Outcome], metric: str, against: Scores) -> list[Row]:
    """Return the rows of the methods without training, from the first test that has any, since all have the same."""
    tests = (test for outcome in here for test in outcome.tests.values())
    test = next((test for test in tests if test.untrained()), None)
    if test is None:
        return []
    rows = []
    for name, values in test.untrained().items():
        scores = _by_sample(test, values, metric)
        everywhere = dict.fromkeys(against, scores)
        seconds = test.seconds(name)
        difference = _difference(against, everywhere)
        mean = _mean(list(scores.values()))
        rows.append(Row(condition, f"{name}, untrained", 0, 0, mean, None, difference, None, None, seconds))
    return rows


def _scores(tests: dict[int, Evaluation], metric: str) -> Scores:
    return {seed: _by_sample(test, test.reconstructions(), metric) for seed, test in tests.items()}


def _by_sample(test: Evaluation, values: Sequence[MetricValues], metric: str) -> dict[str, float]:
    named = zip(test.samples, values, strict=True)
    return {sample.name: value for sample, row in named if (value := row.get(metric)) is not None}


def _difference(one: Scores, other: Scores) -> Difference | None:
    """Return other - one of samples averaged over seeds, and its interval by Student's t distribution over samples."""
    seeds = one.keys() & other.keys()
    named = [one[seed].keys() & other[seed].keys() for seed in seeds]
    names = sorted(set.intersection(*named)) if named else []
    return difference_of([float(np.mean([other[seed][name] - one[seed][name] for seed in seeds])) for name in names])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def heading_of(study: Study, found: Sequence[Outcome]) -> Heading:
    """Return the heading of the metric of a study, as its tests have it."""
    tests = (test for outcome in found for test in outcome.tests.values())
    return next(tests).heading(study.metric) if any(outcome.tests for outcome in found) else Heading(study.metric)


def as_markdown(study: Study, rows: Sequence[Row], heading: Heading | None = None) -> str:
    """Return the table in Markdown, without columns for what does not differ or was not recorded.

    Args:
        study: whose results they are.
        rows: of the table.
        heading: of the metric; None for its name.
    """
    heading = heading or Heading(study.metric)
    columns = {
        "condition": [markdown_cell(row.condition) for row in rows],
        "method": [markdown_cell(row.method) for row in rows],
        markdown_cell(heading.text): [_score(row) for row in rows],
        f"difference to {markdown_cell(study.reference)} [95 % interval]": [
            difference_and_interval(row.difference) for row in rows
        ],
        "seeds": [str(row.seeds or "-") for row in rows],
        "diverged": [str(row.diverged) for row in rows],
        DISTANCE: [_distance_text(row.gradient_distance) for row in rows],
        PARAMETERS: ["-" if row.parameters is None else f"{row.parameters:,}" for row in rows],
        "seconds": [number(row.seconds) for row in rows],
    }
    if len(study.conditions) == 1:
        del columns["condition"]
    if all(row.gradient_distance is None for row in rows):
        del columns[DISTANCE]
    if len({row.parameters for row in rows if row.parameters is not None}) <= 1:
        del columns[PARAMETERS]
    lines = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_csv(rows: Sequence[Row]) -> str:
    """Return the table as CSV, with an apostrophe before names that a spreadsheet would execute."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    difference_fields = [f"difference_{name}" for name in Difference._fields]
    distance_fields = [f"gradient_distance_{name}" for name in Distances._fields]
    writer.writerow([*Row._fields[:-4], *difference_fields, *distance_fields, *Row._fields[-2:]])
    for row in rows:
        difference, distance = row.difference or (None, None, None), row.gradient_distance or (None, None)
        names = spreadsheet_cell(row.condition), spreadsheet_cell(row.method)
        writer.writerow([*names, *row[2:-4], *difference, *distance, *row[-2:]])
    return text.getvalue()


def _score(row: Row) -> str:
    return number(row.mean) + (f" ({number(row.spread)})" if row.spread is not None else "")


def _distance_text(distances: Distances | None) -> str:
    return "-" if distances is None else f"{distances.median:.1g} ({distances.largest:.1g})"
