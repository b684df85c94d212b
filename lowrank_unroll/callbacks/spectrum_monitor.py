"""Singular values inside a network, watched while it trains."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from torch import Tensor, nn

from lowrank_unroll.callbacks.step_recorder import StepRecorder
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import relative_spectrum
from lowrank_unroll.prox import RelativeThreshold
from lowrank_unroll.reports.spectrum_figure import save_spectrum
from lowrank_unroll.reports.spectrum_record import (
    SpectrumRow,
    measure,
    some_singular_values,
    some_thresholds,
)

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

SMALLEST_LOGGED = 1e-8  # of s_1, below the resolution of single precision
BINS = 64


class SpectrumMonitor(StepRecorder):
    """Record thresholds, ranks, gaps and ties of singular values in every low-rank step of a network.

    At some training steps it decomposes some of the matrices that each
    :class:`~lowrank_unroll.prox.LowRankProx` shrinks; between those steps nothing is in the way. It writes
    ``spectrum.csv`` (the columns are the fields of
    :class:`~lowrank_unroll.reports.spectrum_record.SpectrumRow`) into the folder of the run after each validation,
    and ``spectrum.png`` at the end of the training, also if it ends in an error. Weights & Biases and TensorBoard get
    the same numbers as they come, with histograms of log10(s_i / s_1); other loggers but the CSVLogger the numbers.
    Training is not changed by a bit. Of several processes, the first records its share.

    Iterations are counted in the order in which a forward pass reaches them, from 0. On the CPU a recorded step takes 1
    to 4 % longer.

    Args:
        every_n_steps: optimizer steps from one record to the next; the first step is recorded.
        matrices: how many of a batch are decomposed in each iteration, evenly spread over it.

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
        """All rows so far, and the singular values at the first and last of their steps."""
        return super().state_dict() | {"first": self._first, "last": self._last}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where a training ended."""
        super().load_state_dict(state_dict)
        self._first, self._last = state_dict["first"], state_dict["last"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Find the low-rank steps; forget an earlier training unless it goes on."""
        super().on_train_start(trainer, pl_module)
        self._shrinkages = [module for module in pl_module.modules() if isinstance(module, RelativeThreshold)]
        if trainer.global_step == 0:
            self._first, self._last = [], []

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Watch the forward pass of a step to be recorded."""
        if self.is_due(trainer):
            self._step = trainer.global_step
            self._hooks = [shrinkage.register_forward_hook(self._see) for shrinkage in self._shrinkages]

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: Tensor) -> None:
        """Record the forward pass, before a checkpointed network repeats it."""
        self._record(trainer)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Record a forward pass that nothing followed."""
        self._record(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Write what there is: the spectra may say what went wrong."""
        self._record(trainer)
        super().on_exception(trainer, pl_module, exception)

    def write_pictures(self, folder: Path) -> list[str]:
        """Draw the course of the training."""
        save_spectrum(self.rows, self._first, self._last, folder / "spectrum.png")
        return ["spectrum.png"]

    def _see(self, shrinkage: nn.Module, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        matrices, fraction, unit = inputs
        S = some_singular_values(matrices, self.matrices)
        self._seen.append((some_thresholds(fraction.detach(), unit, S, matrices.shape[:-2]), S))

    def _record(self, trainer: Trainer) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        if not self._seen:
            return
        self._last = [S.cpu() for _, S in self._seen]
        self._first = self._first or self._last
        new = [
            measure(self._step, iteration, threshold.cpu(), S)
            for iteration, ((threshold, _), S) in enumerate(zip(self._seen, self._last, strict=True))
        ]
        self.rows += new
        self._seen = []
        for logger in trainer.loggers:
            _log(logger, new, self._last)


def _log(logger: Logger, rows: list[SpectrumRow], spectra: list[Tensor]) -> None:
    if isinstance(logger, CSVLogger):
        return
    step, names = rows[0].step, SpectrumRow._fields[2:]
    numbers = {f"spectrum/{name}/{row.iteration}": getattr(row, name) for row in rows for name in names}
    logarithms = {
        f"spectrum/log10_singular_values/{iteration}": relative_spectrum(S).clamp(min=SMALLEST_LOGGED).log10().flatten()
        for iteration, S in enumerate(spectra)
    }
    if isinstance(logger, WandbLogger):
        import wandb  # noqa: PLC0415  takes a second to import

        edges = np.linspace(np.log10(SMALLEST_LOGGED), 0, BINS + 1)
        numbers |= {
            name: wandb.Histogram(np_histogram=np.histogram(values, edges)) for name, values in logarithms.items()
        }
    logger.log_metrics(numbers, step)
    if isinstance(logger, TensorBoardLogger):
        for name, values in logarithms.items():
            logger.experiment.add_histogram(name, values, step)
