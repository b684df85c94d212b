"""The command ``lowrank-unroll compare RUN RUN ...``."""

import os
from collections.abc import Sequence
from pathlib import Path

from rich.text import Text

from lowrank_unroll.command_line.command_parser import CommandParser
from lowrank_unroll.errors import UsageError
from lowrank_unroll.files import written_whole
from lowrank_unroll.reports import comparison_table, distributions, methods, objections, read_evaluation
from lowrank_unroll.reports.comparison import common_headings
from lowrank_unroll.terminal import say, show

LOG_WIDTH = 160  # characters of the table without a terminal
FORMATS = (".png", ".pdf", ".svg", ".jpg", ".tiff", ".webp")


def compare(argv: Sequence[str]) -> None:
    """Print and plot finished tests side by side.

    Args:
        argv: the arguments of the command.

    Raises:
        UsageError: if they cannot be parsed, or the picture cannot be written to --output.
        FileNotFoundError: if a folder holds no finished test.
        DataError: if its files were not written by a test.
    """
    parser = CommandParser(
        prog="lowrank-unroll compare",
        description="Print and plot finished tests side by side: mean (std), and paired differences to the first.",
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run of `lowrank-unroll test`")
    parser.add_argument("--output", type=Path, default=Path("comparison.png"), help="picture to write (%(default)s)")
    arguments = parser.parse_args(argv)
    _check_output(arguments.output)
    evaluations = [read_evaluation(run) for run in arguments.runs]
    with written_whole(arguments.output) as temporary:
        distributions(methods(evaluations), common_headings(evaluations)).savefig(temporary, dpi=150)
    show(comparison_table(evaluations), log_width=LOG_WIDTH)
    for other in evaluations[1:]:
        for objection in objections(evaluations[0], other):
            show(Text.assemble(("Warning: ", "yellow"), objection), log_width=LOG_WIDTH)
    say(f"Picture: {arguments.output}")


def _check_output(path: Path) -> None:
    """Check that a picture can be written.

    Raises:
        UsageError: if it cannot, with the reason.
    """
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--output {path}: expected a picture that ends in {', '.join(FORMATS)}")
    if path.is_dir():
        raise UsageError(f"--output {path}: is a folder, expected a file")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"--output {path}: the folder {path.parent} cannot be written to")
