"""Figures of a study."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from lowrank_unroll.names import drawable
from lowrank_unroll.reports import Heading
from lowrank_unroll.studies.definition import Study
from lowrank_unroll.studies.table import Row

ROW = 0.28  # inches
LONGEST = 60  # characters of a name
LABEL_HEIGHT = 12  # pixels
TRAINED, UNTRAINED = "tab:blue", "tab:gray"


def comparison_figure(study: Study, rows: Sequence[Row], heading: Heading | None = None) -> Figure:
    """Draw each method's mean as a point with the spread of its seeds, in a panel for each condition."""
    panels = {condition: [row for row in rows if row.condition == condition] for condition in study.conditions}
    height = 0.9 + sum(ROW * len(of_condition) + 0.5 for of_condition in panels.values())
    figure = Figure(figsize=(8, height), layout="constrained")
    all_axes = figure.subplots(
        len(panels), 1, squeeze=False, height_ratios=[len(of_condition) + 1 for of_condition in panels.values()]
    )
    for axes, (condition, of_condition) in zip(all_axes[:, 0], panels.items(), strict=True):
        for position, row in enumerate(of_condition):
            if row.mean is not None:
                color = TRAINED if row.seeds else UNTRAINED
                axes.errorbar(row.mean, position, xerr=row.spread or 0, fmt="o", color=color, capsize=3)
        axes.set_yticks(range(len(of_condition)), labels=[drawable(row.method, LONGEST) for row in of_condition])
        axes.set_ylim(len(of_condition) - 0.5, -0.5)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        if len(panels) > 1:
            axes.set_title(drawable(condition, LONGEST), fontsize="medium", loc="left")
    all_axes[-1, 0].set_xlabel(drawable((heading or Heading(study.metric)).text, LONGEST))
    return figure


def speed_figure(study: Study, rows: Sequence[Row], heading: Heading | None = None) -> Figure:
    """Draw each method's mean over its seconds for a sample, in a panel for each condition.

    A line joins those on the Pareto front: no faster method equals them. They are numbered, and named beside the panel.
    """
    figure = Figure(figsize=(10, 4.5 * len(study.conditions)), layout="constrained")
    all_axes = figure.subplots(len(study.conditions), 1, squeeze=False)[:, 0]
    for axes, condition in zip(all_axes, study.conditions, strict=True):
        timed = [row for row in rows if row.condition == condition and _is_finite(row.mean) and row.seconds]
        _draw_speeds(axes, timed, heading or Heading(study.metric))
        if len(study.conditions) > 1:
            axes.set_title(drawable(condition, LONGEST), fontsize="medium", loc="left")
    return figure


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _draw_speeds(axes: Any, rows: Sequence[Row], heading: Heading) -> None:
    for kind, color in (("trained", TRAINED), ("untrained", UNTRAINED)):
        of_kind = [row for row in rows if bool(row.seeds) == (kind == "trained")]
        axes.scatter([row.seconds for row in of_kind], [row.mean for row in of_kind], color=color, label=kind)
    best = _pareto_front(rows, heading.higher_is_better)
    axes.plot([row.seconds for row in best], [row.mean for row in best], color="0.7", zorder=0)
    if rows:
        axes.set_xscale("log")
    axes.set(xlabel="seconds a sample", ylabel=drawable(heading.text, LONGEST))
    axes.margins(y=0.1)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    _number(axes, best)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")


def _number(axes: Any, best: Sequence[Row]) -> None:
    """Number points, which are in order of their seconds, and name them in the legend."""
    before, lift = (-math.inf, -math.inf), 0
    for number, row in enumerate(best, 1):
        place = axes.transData.transform((row.seconds, row.mean))
        lift = lift + 1 if math.dist(place, before) < LABEL_HEIGHT else 0  # above the number of the point before
        axes.annotate(str(number), (row.seconds, row.mean), (-4, 6 + 11 * lift), textcoords="offset points", ha="right")
        axes.plot([], [], " ", label=f"{number}  {drawable(row.method, LONGEST)}")
        before = tuple(place)


def _pareto_front(rows: Sequence[Row], higher_is_better: bool | None) -> list[Row]:
    """Return the rows better than all faster ones, in order of their seconds; none where better is not defined."""
    if higher_is_better is None:
        return []
    sign = 1 if higher_is_better else -1
    best: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.seconds or 0.0, -sign * (row.mean or 0.0))):
        if not best or sign * (row.mean or 0.0) > sign * (best[-1].mean or 0.0):
            best.append(row)
    return best
