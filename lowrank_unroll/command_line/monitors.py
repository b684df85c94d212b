"""Checks of what callbacks and schedulers watch, before a training begins."""

import sys
from collections.abc import Iterable

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, LearningRateFinder, ModelCheckpoint
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lowrank_unroll.command_line.words import nearest
from lowrank_unroll.errors import UsageError
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.runs.resumable_checkpoint import OF_THE_MODULE

OURS = {"lightning", "lowrank_unroll"}  # packages of which we know what they log
MAY_LOG = ("loss", "training_step", "validation_step", "on_train_epoch_end", "on_validation_epoch_end")


def check_callbacks(trainer: Trainer, module: ReconstructionModule) -> None:
    """Let early stopping go by the module's monitor, and refuse what watches a name that is never logged.

    Raises:
        UsageError: if a name is not logged, or a callback cannot do its work here; says which are.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for callback in callbacks:
        if isinstance(callback, LearningRateFinder) and not hasattr(module, "lr"):
            raise UsageError("LearningRateFinder cannot set the rate of this module: give it by --model.optimizer.lr")
        if isinstance(callback, EarlyStopping):
            _go_by_the_module(callback, module)
    if not _all_is_known(module, callbacks):
        return
    for watcher, name in _watched(module, callbacks):
        # A checkpoint does without what it watches, and warns.
        validates = trainer.limit_val_batches != 0 or isinstance(watcher, ModelCheckpoint)
        logged = [known for known in module.logged() if validates or not known.startswith("val/")]
        if name not in logged:
            without = "" if validates else " without validation"
            meant = nearest(name, logged) or f"; expected one of {', '.join(logged)}"
            raise UsageError(f"{type(watcher).__name__} watches {name}, which is not logged{without}{meant}")


def _watched(module: ReconstructionModule, callbacks: Iterable[Callback]) -> Iterable[tuple[object, str]]:
    """Yield each callback or scheduler that watches a metric, and the name of the metric."""
    for callback in callbacks:
        name = getattr(callback, "monitor", None)
        if isinstance(name, str) and name != OF_THE_MODULE:
            yield callback, name
    _, scheduler = module.optimizer_and_scheduler()
    if isinstance(scheduler, ReduceLROnPlateau):
        yield scheduler, module.watched_by(scheduler)


def _go_by_the_module(callback: EarlyStopping, module: ReconstructionModule) -> None:
    """Name the module's monitor where that is asked for, and turn the mode to where what is watched gets better."""
    if asked := callback.monitor == OF_THE_MODULE:
        callback.monitor = module.monitor
    mode = module.logged().get(callback.monitor)
    if mode is None or mode == callback.mode:
        return
    if not asked:
        sys.stderr.write(f"Note: EarlyStopping waits for the {mode}imum of {callback.monitor}, its best value\n")
    callback.mode = mode
    callback.min_delta = -callback.min_delta
    callback.best_score = torch.tensor(-torch.inf if mode == "max" else torch.inf)


def _all_is_known(module: ReconstructionModule, callbacks: Iterable[Callback]) -> bool:
    """Return whether the module names all that is logged, unlike with steps or callbacks of a user's own."""
    own_steps = any(getattr(type(module), name) is not getattr(ReconstructionModule, name) for name in MAY_LOG)
    return not own_steps and all(type(one).__module__.partition(".")[0] in OURS for one in callbacks)
