"""Runs of the cells of a study: `fit` and `test`, each in a process of its own; a run that was stopped is resumed."""

import fcntl
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lowrank_unroll.errors import DIVERGED, DataError, UsageError
from lowrank_unroll.files import write_whole
from lowrank_unroll.reports.evaluation import METRICS_FILE
from lowrank_unroll.studies.definition import Cell

FAILURE_FILE = "diverged.txt"
LOG_FILE = "log.txt"
WORDS_FILE = "words.txt"
STUDY_FILE = "study.txt"
LAST_LINES = 6


def finished_test(folder: Path, cell: Cell) -> Path | None:
    """Return the file of the results of a cell's test, if it has finished."""
    return next(iter(sorted((folder / cell.label).rglob(METRICS_FILE))), None)


def has_diverged(folder: Path, cell: Cell) -> bool:
    """Return whether the training of a cell ended because its gradient became infinite or NaN."""
    return (folder / cell.label / FAILURE_FILE).is_file()


def run_cell(folder: Path, cell: Cell, group: str) -> None:
    """Train and test a cell in a folder named by its label, or resume where an earlier process was stopped.

    Args:
        folder: of the study.
        cell: to run.
        group: of its runs in Weights & Biases.

    Raises:
        DataError: if a process fails for another reason than a gradient that is not finite; quotes its last lines.
    """
    own = folder / cell.label
    own.mkdir(parents=True, exist_ok=True)
    with _locked(own) as lock:
        if not is_done(folder, cell):
            write_whole(own / WORDS_FILE, shlex.join(cell.words).encode())
            _fit_and_test(own, cell, group, lock)


def check_words(folder: Path, cell: Cell) -> None:
    """Refuse to take the results of another study in the same folder for those of this one.

    Raises:
        UsageError: if the cell was run with other words; quotes both.
    """
    file, own = folder / cell.label / WORDS_FILE, shlex.join(cell.words)
    if file.is_file() and (words := file.read_text(encoding="utf-8", errors="replace")) != own:
        raise UsageError(
            f"{file.parent} was run with other words, {words}, than {own}: give another --folder, or remove that one"
        )


def claim_folder(folder: Path, file: Path) -> None:
    """Record the file of a study in the folder of its results, so that no other study replaces them.

    The path is relative to the folder: both may be moved together, or the file alone.

    Raises:
        UsageError: if the folder is that of another file; names it.
    """
    place, origin = folder.resolve(), folder / STUDY_FILE
    if origin.is_file():
        former = (place / os.fsdecode(origin.read_bytes())).resolve()
        if former.is_file() and not former.samefile(file):
            raise UsageError(f"{folder} has the results of another study, {former}: give another --folder")
    write_whole(origin, os.fsencode(os.path.relpath(file.resolve(), place)))


def is_done(folder: Path, cell: Cell) -> bool:
    """Return whether a cell is tested or has diverged, so that nothing is left to run."""
    return finished_test(folder, cell) is not None or has_diverged(folder, cell)


@contextmanager
def _locked(own: Path) -> Iterator[int]:
    """Wait for the lock of a cell; child processes inherit it, and keep it if this process is killed."""
    with (own / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _fit_and_test(own: Path, cell: Cell, group: str, lock: int) -> None:
    logged = ["--trainer.logger.init_args.save_dir", str(own), "--trainer.logger.init_args.name", "runs"]
    resumed = ["--ckpt_path", "last"] if any(own.rglob("last.ckpt")) else []
    random = ["--seed_everything", str(cell.seed), "--data.seed", str(cell.seed)]
    code = _run(own, group, lock, ["fit", *cell.words, *logged, *random, *resumed])
    if code == DIVERGED:
        write_whole(own / FAILURE_FILE, _last_lines(own).encode())
        return
    # All seeds are tested on the same samples.
    code = code or _run(own, group, lock, ["test", *cell.words, *logged])
    if code != 0:
        raise DataError(f"{cell.label} ended with exit code {code}; see {own / LOG_FILE}:\n{_last_lines(own)}")


def _run(own: Path, group: str, lock: int, words: list[str]) -> int:
    with (own / LOG_FILE).open("ab") as log:
        return subprocess.run(  # noqa: S603  words of the user's own study
            [sys.executable, "-m", "lowrank_unroll", *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock],
            env=os.environ | {"WANDB_RUN_GROUP": group},
            check=False,
        ).returncode


def _last_lines(own: Path) -> str:
    lines = (own / LOG_FILE).read_text(encoding="utf-8", errors="replace").replace("\r", "\n").split("\n")
    return "\n".join([line for line in lines if line.strip()][-LAST_LINES:])
