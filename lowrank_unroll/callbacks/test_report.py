"""The outcome of ``test``: a table, a CSV file and a picture."""

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch import Callback, LightningModule, Trainer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

from lowrank_unroll.callbacks.media import log_table
from lowrank_unroll.callbacks.panel import Panel, panel_of, save_panels
from lowrank_unroll.files import written_whole
from lowrank_unroll.metrics import is_defined
from lowrank_unroll.modules import ReconstructionModule, Step
from lowrank_unroll.sample import Sample

LOG_WIDTH = 120
Values = dict[str, float | None]  # None where the target is black and the metric undefined


class TestReport(Callback):
    """Compare each test image's reconstruction with the zero-filled image, from which it was made.

    Prints a table of every metric per image with mean (std), and writes ``test.csv`` and ``test.png`` into the folder
    of the run. The standard deviation is over images, with n - 1. Of several processes, the first reports its share.

    Args:
        panels: how many images, the first ones, the picture shows.
    """

    __test__ = False  # not a pytest class

    def __init__(self, panels: int = 6) -> None:
        self.panels = panels
        self._names: list[str] = []
        self._origins: list[str] = []
        self._reconstruction: list[Values] = []
        self._zero_filled: list[Values] = []
        self._pictures: list[Panel] = []

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Forget an earlier test."""
        for rows in (self._names, self._origins, self._reconstruction, self._zero_filled, self._pictures):
            rows.clear()

    def on_test_batch_end(  # type: ignore[override]
        self, trainer: Trainer, pl_module: ReconstructionModule, outputs: Step, batch: Sample, *_: Any
    ) -> None:
        """Measure a batch."""
        reconstruction, zero_filled = outputs["reconstruction"], pl_module.zero_filled(batch)
        self._names += batch.name
        self._origins += batch.origin
        self._reconstruction += _measure(pl_module, reconstruction, batch.target)
        self._zero_filled += _measure(pl_module, zero_filled, batch.target)
        for *images, mask in zip(batch.target, zero_filled, reconstruction, batch.mask, strict=True):
            row = len(self._pictures)
            if row < self.panels:
                psnr = self._zero_filled[row]["psnr"], self._reconstruction[row]["psnr"]
                self._pictures.append(panel_of(pl_module, self._names[row], images, mask, psnr))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the table and write the files."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # every rank asks, for rank zero tells the others
        if not trainer.is_global_zero or not self._names:
            return
        # A log file has no width: the table gets what it needs.
        Console(width=None if Console().is_terminal else LOG_WIDTH).print(self._table())
        if trainer.world_size > 1:
            Console().print(
                f"This is the share of the first of {trainer.world_size} processes; --trainer.devices 1 tests all."
            )
        self._write_csv(folder / "test.csv")
        save_panels(self._pictures, folder / "test.png")
        log_table(trainer, "test/samples", *self._samples())
        Console().print(f"Table and picture: {folder}/test.csv, test.png", soft_wrap=True)

    def _table(self) -> Table:
        table = Table(
            title=f"Test on {self._kind()} data: reconstruction (zero-filled)", box=box.SIMPLE_HEAD, pad_edge=False
        )
        table.add_column("image")
        metrics = list(self._reconstruction[0])
        for metric in metrics:
            table.add_column(_HEADINGS.get(metric, metric), justify="right")
        for name, ours, zeros in zip(self._names, self._reconstruction, self._zero_filled, strict=True):
            table.add_row(escape(name), *(f"{_number(ours[m])} ({_number(zeros[m])})" for m in metrics))
        table.add_section()
        for name, rows in (("mean (std)", self._reconstruction), ("zero-filled", self._zero_filled)):
            columns = [_column(rows, metric) for metric in metrics]
            statistics = [(_mean(column), _spread(column)) for column in columns]
            table.add_row(name, *(f"{_number(mean)} ({_number(std)})" for mean, std in statistics))
        return table

    def _kind(self) -> str:
        return " and ".join(dict.fromkeys(self._origins))

    def _samples(self) -> tuple[list[str], list[list[Any]]]:
        """The columns, and a row for each image."""
        metrics = list(self._reconstruction[0])
        columns = ["image", "origin", *metrics, *(f"zero_filled_{metric}" for metric in metrics)]
        rows = zip(self._names, self._origins, self._reconstruction, self._zero_filled, strict=True)
        return columns, [[name, origin, *ours.values(), *zeros.values()] for name, origin, ours, zeros in rows]

    def _write_csv(self, path: Path) -> None:
        metrics = list(self._reconstruction[0])
        columns = [_column(rows, metric) for rows in (self._reconstruction, self._zero_filled) for metric in metrics]
        with written_whole(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.writer(file)
            header, rows = self._samples()
            writer.writerows([header, *rows])
            writer.writerow(["mean", "", *map(_mean, columns)])
            writer.writerow(["std", "", *map(_spread, columns)])


_HEADINGS = {"psnr": "PSNR, dB", "ser": "SER, dB", "ssim": "SSIM", "mse": "MSE", "nmse": "NMSE"}


def _measure(module: ReconstructionModule, image: Tensor, target: Tensor) -> list[Values]:
    columns = {}
    for name, metric in module.metrics().items():
        values = metric.function(image, target)
        counts = is_defined(values, target)
        columns[name] = [value if count else None for value, count in zip(values.tolist(), counts, strict=True)]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column(rows: list[Values], metric: str) -> npt.NDArray[np.float64]:
    return np.array([row[metric] for row in rows if row[metric] is not None], dtype=float)


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) > 0 else math.nan


def _spread(values: npt.NDArray[np.float64]) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    digits = 2 if abs(value) >= 1 else 3 if abs(value) >= 0.01 else 4  # noqa: PLR2004  about three significant digits
    return f"{value:.{digits}f}"
