"""Base of the callbacks that keep a table of some steps of a training."""

import csv
from abc import ABC
from pathlib import Path
from typing import Any, ClassVar

from lightning.pytorch import Callback, LightningModule, Trainer

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.files import written_whole
from lowrank_unroll.runs.folders import run_folder
from lowrank_unroll.terminal import say


class StepRecorder(Callback, ABC):
    """Record a row at some training steps, in a table in the folder of the run.

    The table is written after each validation and at the end of the training, also if it ends in an error; a resumed
    training continues it. Of several processes, the first records its share.

    Args:
        every_n_steps: optimizer steps from one record to the next; the first step is recorded.

    Attributes:
        row: the class of the rows, a named tuple whose fields are the columns; ``step`` is one of them.
        file: name of the table.
        rows: recorded so far.
        folder: of the run; None in processes that do not record.

    Raises:
        ValueError: if an argument is not positive.
    """

    row: ClassVar[type[Any]]
    file: ClassVar[str]

    def __init__(self, every_n_steps: int = 20) -> None:
        check_at_least(1, every_n_steps=every_n_steps)
        self.every_n_steps = every_n_steps
        self.rows: list[Any] = []
        self.folder: Path | None = None

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": [list(row) for row in self.rows]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the rows of a training."""
        self.rows = [self.row(*row) for row in state_dict["rows"]]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the folder of the run; forget an earlier training unless this one resumes it."""
        folder = run_folder(trainer)
        self.folder = folder if trainer.is_global_zero else None
        if trainer.global_step == 0:
            self.rows = []

    def is_due(self, trainer: Trainer) -> bool:
        """Return whether this process records the step that begins."""
        due = not self.rows or trainer.global_step >= self.rows[-1].step + self.every_n_steps
        return self.folder is not None and due

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table."""
        if self.folder is not None and self.rows:
            self.write(self.folder)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the table and the pictures, and print where they are."""
        if self.folder is not None and self.rows:
            self.write(self.folder)
            names = ", ".join([self.file, *self.write_pictures(self.folder)])
            say(f"{type(self).__name__}: {self.folder}/{names}")
        self.folder = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write what was recorded: it may show what went wrong."""
        self.on_train_end(trainer, pl_module)

    def write(self, folder: Path) -> None:
        """Write the table, whose columns are the fields of the rows."""
        with written_whole(folder / self.file) as temporary, temporary.open("w", newline="") as file:
            csv.writer(file).writerows([self.row._fields, *self.rows])

    def write_pictures(self, folder: Path) -> list[str]:
        """Draw the table in a folder and return the names of the pictures; here none."""
        return []
