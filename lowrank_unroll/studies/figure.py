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
LABEL = 11  # points, the height of a number with its margin
DIGIT = 6.4  # points, the width of a digit
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
    fronts: list[tuple[Any, list[Row]]] = []
    for axes, condition in zip(all_axes, study.conditions, strict=True):
        timed = [row for row in rows if row.condition == condition and _is_finite(row.mean) and row.seconds]
        fronts.append((axes, _draw_speeds(axes, timed, heading or Heading(study.metric))))
        if len(study.conditions) > 1:
            axes.set_title(drawable(condition, LONGEST), fontsize="medium", loc="left")
    figure.draw_without_rendering()  # legends and titles decide how large the panels are
    for axes, best in fronts:
        _number(axes, best)
    return figure


def _is_finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _draw_speeds(axes: Any, rows: Sequence[Row], heading: Heading) -> list[Row]:
    """Draw the points of a panel, and name those of the Pareto front, which are returned."""
    for kind, color in (("trained", TRAINED), ("untrained", UNTRAINED)):
        of_kind = [row for row in rows if bool(row.seeds) == (kind == "trained")]
        axes.scatter([row.seconds for row in of_kind], [row.mean for row in of_kind], color=color, label=kind)
    best = _pareto_front(rows, heading.higher_is_better)
    axes.plot([row.seconds for row in best], [row.mean for row in best], color="0.7", zorder=0)
    for number, row in enumerate(best, 1):
        axes.plot([], [], " ", label=f"{number}  {drawable(row.method, LONGEST)}")
    if rows:
        axes.set_xscale("log")
    axes.set(xlabel="seconds a sample", ylabel=drawable(heading.text, LONGEST))
    axes.margins(y=0.1)
    axes.grid(color="0.9")
    axes.set_axisbelow(True)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize="small")
    return best


def _number(axes: Any, best: Sequence[Row]) -> None:
    """Write numbers above the points of a front, one above the other where points are close together."""
    point = axes.figure.dpi / 72  # in pixels
    taken: list[tuple[float, float]] = []
    for number, row in enumerate(best, 1):
        x, y = axes.transData.transform((row.seconds, row.mean))
        width, lifts = DIGIT * len(str(number)) * point, 0
        while any(x - at_x < width and abs(y + lifts * LABEL * point - at_y) < LABEL * point for at_x, at_y in taken):
            lifts += 1
        taken.append((x, y + lifts * LABEL * point))
        offset = (-4, 6 + lifts * LABEL)
        axes.annotate(str(number), (row.seconds, row.mean), offset, textcoords="offset points", ha="right")


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
