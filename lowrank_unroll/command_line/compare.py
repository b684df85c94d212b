"""The command ``lowrank-unroll compare RUN RUN ...``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from lowrank_unroll.files import written_whole
from lowrank_unroll.reports.comparison import methods, objections, table
from lowrank_unroll.reports.evaluation import read_evaluation
from lowrank_unroll.reports.figures import distributions

LOG_WIDTH = 160


def compare(words: Sequence[str]) -> None:
    """Print and plot finished tests side by side.

    Args:
        words: the arguments of the command.

    Raises:
        SystemExit: if a folder holds no finished test.
    """
    parser = argparse.ArgumentParser(
        prog="lowrank-unroll compare",
        description="Print and plot finished tests side by side: mean (std), and paired differences to the first.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run of `lowrank-unroll test`")
    parser.add_argument("--output", type=Path, default=Path("comparison.png"), help="picture to write (%(default)s)")
    arguments = parser.parse_args(words)
    try:
        evaluations = [read_evaluation(run) for run in arguments.runs]
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(str(error)) from error
    console = Console(width=None if Console().is_terminal else LOG_WIDTH)
    console.print(table(evaluations))
    for other in evaluations[1:]:
        for objection in objections(evaluations[0], other):
            console.print(f"[yellow]Warning:[/] {escape(objection)}")
    with written_whole(arguments.output) as temporary:
        distributions(methods(evaluations)).savefig(temporary, dpi=150)
    console.print(f"Picture: {arguments.output}", soft_wrap=True)
