"""Singular values inside a network, recorded while it trains."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor, nn

from lowrank_unroll.callbacks.step_recorder import StepRecorder
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.prox import RelativeThreshold
from lowrank_unroll.reports.spectrum_figure import save_spectrum
from lowrank_unroll.reports.spectrum_record import (
    SMALLEST_LOGGED,
    SpectrumRow,
    log10_spectrum,
    sampled_singular_values,
    sampled_thresholds,
    spectrum_row,
)
from lowrank_unroll.runs.loggers import log_histograms, log_numbers

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

BINS = 64  # of the histograms that are logged


class SpectrumMonitor(StepRecorder):
    """Record thresholds, ranks, gaps and ties of singular values in every low-rank step of a network.

    At some training steps it decomposes some of the matrices that each
    :class:`~lowrank_unroll.prox.LowRankProx` shrinks; the steps between are left alone. It writes
    ``spectrum.csv`` (the columns are the fields of
    :class:`~lowrank_unroll.reports.spectrum_record.SpectrumRow`) into the folder of the run after each validation,
    and ``spectrum.png`` at the end of the training, also if it ends in an error. All loggers but the CSVLogger get
    the same numbers, Weights & Biases and TensorBoard also histograms of log10(s_i / s_1).
    The training itself stays the same, bit by bit. Of several processes, the first records its share.

    Iterations are counted in the order in which a forward pass reaches them, from 0. On the CPU a recorded step takes 1
    to 4 % longer.

    Args:
        every_n_steps: optimizer steps from one record to the next; the first step is recorded.
        matrices: number of matrices that are decomposed in each iteration, evenly spread over the batch.

    Raises:
        ValueError: if an argument is not positive.
    """

    row: ClassVar[type[Any]] = SpectrumRow
    file: ClassVar[str] = "spectrum.csv"

    def __init__(self, every_n_steps: int = 20, matrices: int = 16) -> None:
        check_at_least(1, matrices=matrices)
        super().__init__(every_n_steps)
        self.matrices = matrices
        self._shrinkages: list[RelativeThreshold] = []
        self._hooks: list[RemovableHandle] = []
        self._seen: list[tuple[Tensor, Tensor]] = []
        self._step = 0
        self._first: list[Tensor] = []
        self._last: list[Tensor] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far, and the singular values at the first and last of their steps."""
        return super().state_dict() | {"first": self._first, "last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the rows of a training."""
        super().load_state_dict(state_dict)
        self._first, self._last = state_dict["first"], state_dict["last"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the low-rank steps; forget an earlier training unless this one resumes it."""
        super().on_train_start(trainer, pl_module)
        self._shrinkages = [module for module in pl_module.modules() if isinstance(module, RelativeThreshold)]
        if trainer.global_step == 0:
            self._first, self._last = [], []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Hook the forward pass of a step that is recorded."""
        if self.is_due(trainer):
            self._step = trainer.global_step
            self._hooks = [shrinkage.register_forward_hook(self._see) for shrinkage in self._shrinkages]

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Record the forward pass, before a checkpointed network repeats it."""
        self._record(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Record a forward pass without a backward pass."""
        self._record(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write what was recorded: the spectra may show what went wrong."""
        self._record(trainer)
        super().on_exception(trainer, pl_module, exception)

    def write_pictures(self, folder: Path) -> list[str]:
        """Draw the course of the training."""
        save_spectrum(self.rows, self._first, self._last, folder / "spectrum.png")
        return ["spectrum.png"]

    def _see(self, shrinkage: nn.Module, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        matrices, fraction, unit = inputs
        S = sampled_singular_values(matrices, self.matrices)
        self._seen.append((sampled_thresholds(fraction.detach(), unit, S, matrices.shape[:-2]), S))

    def _record(self, trainer: Trainer) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if not self._seen:
            return
        self._last = [S.cpu() for _, S in self._seen]
        self._first = self._first or self._last
        rows = [
            spectrum_row(self._step, iteration, threshold.cpu(), S)
            for iteration, ((threshold, _), S) in enumerate(zip(self._seen, self._last, strict=True))
        ]
        self.rows += rows
        self._seen = []
        _log(trainer, rows, self._last)


def _log(trainer: Trainer, rows: list[SpectrumRow], spectra: list[Tensor]) -> None:
    step, names = rows[0].step, SpectrumRow._fields[2:]
    log_numbers(
        trainer, {f"spectrum/{name}/{row.iteration}": getattr(row, name) for row in rows for name in names}, step
    )
    logarithms = {
        f"spectrum/log10_singular_values/{iteration}": log10_spectrum(S) for iteration, S in enumerate(spectra)
    }
    log_histograms(trainer, logarithms, np.linspace(np.log10(SMALLEST_LOGGED), 0, BINS + 1), step)
