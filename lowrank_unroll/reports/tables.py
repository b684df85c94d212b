"""Tables of tests for the terminal."""

from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.table import Table
from rich.text import Text

from lowrank_unroll.names import one_line
from lowrank_unroll.reports.comparison import common, common_headings, methods, paired_difference
from lowrank_unroll.reports.evaluation import Evaluation
from lowrank_unroll.reports.formats import difference_and_interval, mean_and_spread, number


def evaluation_table(evaluation: Evaluation) -> Table:
    """Return a row for each sample, metrics of the reconstruction (and of the adjoint one), and the means."""
    adjoint = one_line(evaluation.adjoint_name)
    title = f"Test on {one_line(evaluation.origin)} data: reconstruction ({adjoint})"
    table = _metrics_table(Text(title), "image", evaluation)
    table.add_column("seconds", justify="right")
    for sample in evaluation.samples:
        pairs = zip(sample.reconstruction.values(), sample.zero_filled.values(), strict=True)
        cells = [f"{number(after)} ({number(before)})" for after, before in pairs]
        table.add_row(Text(one_line(sample.name)), *cells, number(sample.seconds.get("reconstruction")))
    table.add_section()
    summary = {"mean (std)": evaluation.reconstructions(), adjoint: evaluation.zero_filled()}
    times = {"mean (std)": evaluation.seconds()} | {name: evaluation.seconds(name) for name in evaluation.untrained()}
    for name, rows in (summary | evaluation.untrained()).items():
        cells = [mean_and_spread(rows, metric) for metric in evaluation.metrics]
        table.add_row(Text(one_line(name)), *cells, number(times.get(name)))
    return table


def comparison_table(evaluations: Sequence[Evaluation]) -> Table:
    """Return mean (std) of every metric for each test, and its paired difference to the first with an interval."""
    first = evaluations[0]
    with_headings = replace(first, headings=common_headings(evaluations))
    table = _metrics_table("Mean (std); difference to the first [95 % interval]", "run", with_headings)
    for (name, rows), evaluation in zip(methods(evaluations).items(), evaluations, strict=True):
        table.add_row(Text(one_line(name)), *(mean_and_spread(rows, metric) for metric in first.metrics))
        if evaluation is not first:
            differences = [paired_difference(first, evaluation, metric) for metric in first.metrics]
            pairs = len(common(first, evaluation))
            table.add_row(
                f"  difference, {pairs} pairs", *(Text(difference_and_interval(found)) for found in differences)
            )
    return table


def _metrics_table(title: str | Text, rows: str, evaluation: Evaluation) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(rows, overflow="fold")
    for metric in evaluation.metrics:
        table.add_column(Text(one_line(evaluation.heading(metric).text)), justify="right")
    return table
