"""Checks of the metrics that callbacks and schedulers monitor, before a training begins."""

import sys
from collections.abc import Iterable

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, LearningRateFinder, ModelCheckpoint
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lowrank_unroll.command_line.command_parser import did_you_mean
from lowrank_unroll.errors import UsageError
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.runs.resumable_checkpoint import OF_THE_MODULE

KNOWN_PACKAGES = {"lightning", "lowrank_unroll"}  # All metrics that their callbacks log are known.
MAY_LOG = ("loss", "training_step", "validation_step", "on_train_epoch_end", "on_validation_epoch_end")


def check_callbacks(trainer: Trainer, module: ReconstructionModule) -> None:
    """Give early stopping the module's monitor, and refuse a monitor that is never logged.

    Raises:
        UsageError: if a metric is not logged, with those that are, or if a callback cannot work with this module.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, LearningRateFinder) and not hasattr(module, "lr"):
            raise UsageError("LearningRateFinder cannot set the rate of this module: give it by --model.optimizer.lr")
        if isinstance(callback, EarlyStopping):
            _use_module_monitor(callback, module)
    if not _all_metrics_are_known(module, callbacks):
        return
    for observer, name in _monitored(module, callbacks):
        # Without its metric, a checkpoint callback only warns.
        validates = trainer.limit_val_batches != 0 or isinstance(observer, ModelCheckpoint)
        logged = [known for known in module.logged() if validates or not known.startswith("val/")]
        if name not in logged:
            without = "" if validates else " without validation"
            hint = did_you_mean(name, logged) or f"; expected one of {', '.join(logged)}"
            raise UsageError(f"{type(observer).__name__} monitors {name}, which is not logged{without}{hint}")


def _monitored(module: ReconstructionModule, callbacks: Iterable[Callback]) -> Iterable[tuple[object, str]]:
    """Yield each callback or scheduler that monitors a metric, and the name of the metric."""
    for callback in callbacks:
        name = getattr(callback, "monitor", None)
        if isinstance(name, str) and name != OF_THE_MODULE:
            yield callback, name
    _, scheduler = module.optimizer_and_scheduler()
    if isinstance(scheduler, ReduceLROnPlateau):
        yield scheduler, module.watched_by(scheduler)


def _use_module_monitor(callback: EarlyStopping, module: ReconstructionModule) -> None:
    """Replace the placeholder by the module's monitor, and correct the mode to the metric's better direction."""
    if is_placeholder := callback.monitor == OF_THE_MODULE:
        callback.monitor = module.monitor
    mode = module.logged().get(callback.monitor)
    if mode is None or mode == callback.mode:
        return
    if not is_placeholder:
        sys.stderr.write(f"Note: EarlyStopping waits for the {mode}imum of {callback.monitor}, its best value\n")
    callback.mode = mode
    callback.min_delta = -callback.min_delta
    callback.best_score = torch.tensor(-torch.inf if mode == "max" else torch.inf)


def _all_metrics_are_known(module: ReconstructionModule, callbacks: Iterable[Callback]) -> bool:
    """Return whether the module can name all logged metrics: steps and callbacks of a user may log others."""
    own_steps = any(getattr(type(module), name) is not getattr(ReconstructionModule, name) for name in MAY_LOG)
    return not own_steps and all(type(one).__module__.partition(".")[0] in KNOWN_PACKAGES for one in callbacks)
