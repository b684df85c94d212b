"""The command ``lowrank-unroll compare RUN RUN ...``."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from lowrank_unroll.command_line.words import WordsParser
from lowrank_unroll.files import written_whole
from lowrank_unroll.reports import distributions, methods, objections, read_evaluation, table

LOG_WIDTH = 160


def compare(words: Sequence[str]) -> None:
    """Print and plot finished tests side by side.

    Args:
        words: the arguments of the command.

    Raises:
        UsageError: if they cannot be understood.
        FileNotFoundError: if a folder holds no finished test.
        DataError: if what it holds was not written by a test.
    """
    parser = WordsParser(
        prog="lowrank-unroll compare",
        description="Print and plot finished tests side by side: mean (std), and paired differences to the first.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run of `lowrank-unroll test`")
    parser.add_argument("--output", type=Path, default=Path("comparison.png"), help="picture to write (%(default)s)")
    arguments = parser.parse_args(words)
    evaluations = [read_evaluation(run) for run in arguments.runs]
    console = Console(width=None if Console().is_terminal else LOG_WIDTH)
    console.print(table(evaluations))
    for other in evaluations[1:]:
        for objection in objections(evaluations[0], other):
            console.print(f"[yellow]Warning:[/] {escape(objection)}")
    with written_whole(arguments.output) as temporary:
        distributions(methods(evaluations)).savefig(temporary, dpi=150)
    console.print(f"Picture: {arguments.output}", soft_wrap=True)
