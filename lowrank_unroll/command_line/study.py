"""The command ``lowrank-unroll study STUDY.yaml``."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lowrank_unroll.command_line.command_parser import CommandParser
from lowrank_unroll.files import write_whole, written_whole
from lowrank_unroll.studies import (
    Cell,
    as_csv,
    as_markdown,
    check_words,
    claim_folder,
    comparison_figure,
    heading_of,
    is_done,
    outcomes,
    read_study,
    rows_of,
    run_cell,
    speed_figure,
)
from lowrank_unroll.terminal import say

EPILOG = """
A study is a YAML file. Every method is trained and tested under every
condition, with every seed:

  common: --config color_cs/demo.yaml --trainer.max_epochs 1
  methods:
    exact: --model.network.gradient exact
    SVD-inv: --model.network.gradient pinv
  conditions:
    ratio 0.1: --data.ratio 0.1
    ratio 0.4: --data.ratio 0.4
  seeds: [0, 1, 2]

The table holds the mean of the metric (`metric: psnr`), the standard deviation
over seeds, and the difference to the first method (or `reference: NAME`) with
its 95 % interval over test samples. All seeds are tested on the same samples.
With --trainer.callbacks+=GradientDistance it also holds the distance of each
rule's gradient from the exact one.

Further options, such as --trainer.max_epochs 50, go to all cells, after
`common`. A study that was stopped continues when it is started again. To share
it among machines with a common folder, give each its part, such as
--part $((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT,
and run it once more for the table."""


def study(argv: Sequence[str]) -> None:
    """Run the unfinished cells of a study, and write its table.

    Args:
        argv: the arguments of the command.

    Raises:
        UsageError: if they, or the file, cannot be parsed.
        DataError: if a training or a test fails.
    """
    arguments, common = _parse(argv)
    defined = read_study(arguments.study)
    defined = replace(defined, common=(*defined.common, *common))
    folder = arguments.folder or Path("runs") / "studies" / defined.name
    number, parts = arguments.part
    for cell in defined.cells():
        check_words(folder, cell)
    claim_folder(folder, arguments.study)
    cells = list(defined.cells())[number - 1 :: parts]
    _run_all([cell for cell in cells if not is_done(folder, cell)], folder, defined.name, len(cells))
    found = list(outcomes(defined, folder))
    rows, heading = rows_of(defined, found), heading_of(defined, found)
    write_whole(folder / "results.csv", as_csv(rows).encode(errors="backslashreplace"))
    write_whole(folder / "results.md", as_markdown(defined, rows, heading).encode())
    for name, draw in (("results.png", comparison_figure), ("seconds.png", speed_figure)):
        with written_whole(folder / name) as temporary:
            draw(defined, rows, heading).savefig(temporary, dpi=130)
    say(as_markdown(defined, rows, heading))
    say(f"Table and figures: {folder / 'results.md'}, .csv, .png, {folder / 'seconds.png'}")


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = CommandParser(
        prog="lowrank-unroll study",
        usage="%(prog)s STUDY.yaml [--folder FOLDER] [--part K/N]\n           [--OPTION VALUE ...]",
        description="Train and test many methods under many conditions, and write one table.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="file of the study")
    parser.add_argument("--folder", type=Path, help="folder of runs and results (default: runs/studies/NAME)")
    parser.add_argument(
        "--part", type=_part, default=(1, 1), metavar="K/N", help="run only every N-th cell, from the K-th"
    )
    return parser.parse_known_args(argv)


def _part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected K/N with K from 1 to N, such as 2/5")
    return int(number), int(parts)


def _run_all(cells: Sequence[Cell], folder: Path, group: str, total: int) -> None:
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total, completed=total - len(cells))
        for cell in cells:
            progress.update(task, description=cell.label)
            run_cell(folder, cell, group)
            progress.advance(task)
