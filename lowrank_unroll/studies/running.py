"""Run a cell of a study: `fit` and `test`, each in a process of its own, from where an earlier one was stopped."""

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
    """The file of what the test of a cell found, if it has finished."""
    return next(iter(sorted((folder / cell.label).rglob(METRICS_FILE))), None)


def has_diverged(folder: Path, cell: Cell) -> bool:
    """Whether a cell came to no end because its gradient became infinite or NaN."""
    return (folder / cell.label / FAILURE_FILE).is_file()


def run_cell(folder: Path, cell: Cell, group: str) -> None:
    """Train and test a cell, in a folder by its label; goes on where an earlier process was stopped.

    Args:
        folder: of the study.
        cell: what to run.
        group: of its runs in Weights & Biases.

    Raises:
        DataError: if a process fails for another reason than a gradient that is not finite; tells its last lines.
    """
    own = folder / cell.label
    own.mkdir(parents=True, exist_ok=True)
    with _alone(own) as lock:
        if not is_done(folder, cell):
            write_whole(own / WORDS_FILE, shlex.join(cell.words).encode())
            _fit_and_test(own, cell, group, lock)


def check_words(folder: Path, cell: Cell) -> None:
    """Refuse to take what another study has left in a folder for what this one would find.

    Raises:
        UsageError: if the cell was run with other words; tells both.
    """
    file, own = folder / cell.label / WORDS_FILE, shlex.join(cell.words)
    if file.is_file() and (words := file.read_text(encoding="utf-8", errors="replace")) != own:
        raise UsageError(
            f"{file.parent} was run with other words, {words}, than {own}: give another --folder, or remove that one"
        )


def claim_folder(folder: Path, file: Path) -> None:
    """Write into a folder of results which file its study is in, for the results of another would replace them.

    The file is told relative to the folder: both may be moved together, or the file alone.

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
    """Whether nothing is left to run of a cell."""
    return finished_test(folder, cell) is not None or has_diverged(folder, cell)


@contextmanager
def _alone(own: Path) -> Iterator[int]:
    """Wait for a lock on a cell, that the processes started here inherit: also if this one is killed, they keep it."""
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
