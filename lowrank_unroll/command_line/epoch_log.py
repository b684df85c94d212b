"""A training's progress in a log: one line per epoch, where there is no terminal for a bar."""

import time

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar

from lowrank_unroll.terminal import say


class EpochLog(ProgressBar):
    """Print the metrics of each epoch in one line."""

    def __init__(self) -> None:
        super().__init__()
        self._enabled = True
        self._epoch_start = 0.0

    def enable(self) -> None:
        """Print."""
        self._enabled = True

    def disable(self) -> None:
        """Print nothing, as processes other than the first do."""
        self._enabled = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the time of an epoch that is resumed halfway."""
        self._epoch_start = time.perf_counter()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the time of the epoch."""
        self._epoch_start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print number, duration and metrics of the epoch."""
        if not self._enabled:
            return
        bounded = trainer.max_epochs is not None and trainer.max_epochs > 0
        number = f"{trainer.current_epoch + 1}/{trainer.max_epochs}" if bounded else f"{trainer.current_epoch + 1}"
        seconds = time.perf_counter() - self._epoch_start
        metrics = (f"{name} {value:.4g}" for name, value in trainer.progress_bar_metrics.items())
        say(f"Epoch {number}: {', '.join([f'{seconds:.1f} s', *metrics])}")
