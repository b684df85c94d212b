"""Figure of a study."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from lowrank_unroll.names import drawable
from lowrank_unroll.reports import Heading
from lowrank_unroll.studies.definition import Study
from lowrank_unroll.studies.table import Row

ROW = 0.28  # inches
LONGEST = 60  # characters of a name
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
