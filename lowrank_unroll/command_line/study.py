"""The command ``lowrank-unroll study STUDY.yaml``."""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lowrank_unroll.command_line.words import WordsParser
from lowrank_unroll.files import write_whole, written_whole
from lowrank_unroll.studies import (
    Cell,
    as_csv,
    as_markdown,
    check_words,
    claim_folder,
    comparison_figure,
    is_done,
    outcomes,
    read_study,
    rows_of,
    run_cell,
)
from lowrank_unroll.terminal import say

EPILOG = """
A study is a file of YAML. Every method is trained and tested under every condition, with every seed:

  common: --config color_cs/demo.yaml --trainer.max_epochs 1
  methods:
    exact: --model.network.gradient exact
    SVD-inv: --model.network.gradient pinv
  conditions:
    ratio 0.1: --data.ratio 0.1
    ratio 0.4: --data.ratio 0.4
  seeds: [0, 1, 2]

The table has the mean of the metric (`metric: psnr`), the standard deviation over seeds, and the difference to the
first method (or `reference: NAME`) with its 95 % interval over test samples. All seeds are tested on the same samples.
With --trainer.callbacks+=GradientDistance it also has how far each rule's gradient was from the exact one.
Further words, such as --trainer.max_epochs 50, are those of all cells, after `common`.
Called again, a study goes on where it was stopped. To share it among machines that see the same folder, give each its
part, such as --part $((SLURM_ARRAY_TASK_ID + 1))/$SLURM_ARRAY_TASK_COUNT, and call it once more for the table."""


def study(words: Sequence[str]) -> None:
    """Run what is left of a study, and write its table.

    Args:
        words: the arguments of the command.

    Raises:
        UsageError: if they, or the file, cannot be understood.
        DataError: if a training or a test fails.
    """
    arguments, more = _parsed(words)
    defined = read_study(arguments.study)
    defined = replace(defined, common=(*defined.common, *more))
    folder = arguments.folder or Path("runs") / "studies" / defined.name
    number, parts = arguments.part
    for cell in defined.cells():
        check_words(folder, cell)
    claim_folder(folder, arguments.study)
    cells = list(defined.cells())[number - 1 :: parts]
    _run_all([cell for cell in cells if not is_done(folder, cell)], folder, defined.name, len(cells))
    rows = rows_of(defined, list(outcomes(defined, folder)))
    write_whole(folder / "results.csv", as_csv(rows).encode(errors="backslashreplace"))
    write_whole(folder / "results.md", as_markdown(defined, rows).encode())
    with written_whole(folder / "results.png") as temporary:
        comparison_figure(defined, rows).savefig(temporary, dpi=130)
    say(as_markdown(defined, rows))
    say(f"Table and figure: {folder / 'results.md'}, .csv, .png")


def _parsed(words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = WordsParser(
        prog="lowrank-unroll study",
        usage="%(prog)s [-h] [--folder FOLDER] [--part K/N] STUDY.yaml [words of fit and test]",
        description="Train and test many methods under many conditions, one after the other, into one table.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("study", type=Path, metavar="STUDY.yaml", help="file of the study")
    parser.add_argument("--folder", type=Path, help="where to keep runs and results (runs/studies/NAME)")
    parser.add_argument("--part", type=_part, default=(1, 1), metavar="K/N", help="only every N-th cell, from the K-th")
    return parser.parse_known_args(words)


def _part(text: str) -> tuple[int, int]:
    number, _, parts = text.partition("/")
    if not (number.isdecimal() and parts.isdecimal() and 1 <= int(number) <= int(parts)):
        raise argparse.ArgumentTypeError(f"{text!r}: expected K/N with K from 1 to N, such as 2/5")
    return int(number), int(parts)


def _run_all(left: Sequence[Cell], folder: Path, group: str, total: int) -> None:
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total, completed=total - len(left))
        for cell in left:
            progress.update(task, description=cell.label)
            run_cell(folder, cell, group)
            progress.advance(task)
