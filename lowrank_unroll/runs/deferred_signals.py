"""Signals that stop a training, handled where it can be resumed exactly."""

import os
import signal
import stat
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

STDOUT, STDERR = 1, 2
NOTICE = (
    b"\nStopping after this batch. Press Ctrl-C again to stop at once, and lose what was trained since last.ckpt.\n"
)


class DeferredSignals(Callback):
    """Handle SIGTERM, SIGHUP, Ctrl-C and SLURM's requeue signal after a batch, in all processes after the same one.

    Lightning handles a signal at once: in the middle of a step, whose batch a resumed training would see twice, and in
    different steps of different processes, which then wait for each other. This callback notes the signal, and hands it
    to Lightning after the step, with accumulated gradients after they are applied, and at the end of an epoch after
    validation. Ctrl-C counts as SIGTERM, and a second one stops at once. SIGHUP, of a closed terminal or a dropped
    connection, counts as SIGTERM, too, unless it is ignored (``nohup``); nothing is printed from then on.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._received: set[int] = set()
        self._prints = False
        self._exit_code: int | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the place of Lightning's handlers, which Lightning removes at the end."""
        self._handlers, self._received, self._prints = {}, set(), trainer.is_global_zero
        self._exit_code = None
        if threading.current_thread() is not threading.main_thread():
            return  # Python takes handlers in the main thread only
        for signum in _signals_of_lightning():
            self._handlers[signum] = signal.signal(signum, self._note)
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # not ignored, as it is in the background
            signal.signal(signal.SIGINT, self._interrupt)
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
            signal.signal(signal.SIGHUP, self._hang_up)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Handle signals after a step."""
        applied = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if applied and not trainer.is_last_batch:
            self._handle(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Handle signals received since the last step."""
        self._handle(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Set the exit code of signals other than SIGTERM."""
        if isinstance(exception, SIGTERMException):
            exception.code = self._exit_code

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._received.add(signum)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        if signal.SIGTERM in self._received:
            raise KeyboardInterrupt
        self._received.add(signal.SIGTERM)
        if self._prints:
            os.write(STDERR, NOTICE)  # a handler may interrupt print, which cannot be called again then

    def _hang_up(self, signum: int, frame: FrameType | None) -> None:
        self._received.add(signal.SIGTERM)
        self._exit_code = 128 + signum
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for output in (STDOUT, STDERR):  # writing to a closed terminal would fail
            if not stat.S_ISREG(os.fstat(output).st_mode):
                os.dup2(nowhere, output)
        os.close(nowhere)

    def _handle(self, trainer: Trainer) -> None:
        for signum, handler in self._handlers.items():
            if trainer.strategy.reduce_boolean_decision(signum in self._received, all=False):
                self._received.discard(signum)
                handler(signum, None)


def _signals_of_lightning() -> list[int]:
    handlers = {int(signum): signal.getsignal(signum) for signum in sorted(signal.valid_signals())}
    return [signum for signum, handler in handlers.items() if type(handler).__module__.startswith("lightning.")]
