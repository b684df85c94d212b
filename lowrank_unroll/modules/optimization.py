"""Optimizer and scheduler of a module, and the metric that they and the checkpoints monitor."""

from abc import ABC
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeVar

import lightning as L
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lowrank_unroll.errors import UsageError, first_line

Mode = Literal["min", "max"]
Built = TypeVar("Built")


class OptimizedModule(L.LightningModule, ABC):
    """A module with a network, and an optimizer and a scheduler that are made of its weights.

    Attributes:
        network: what is trained.
        optimizer: from parameters to optimizer.
        scheduler: from optimizer to scheduler, stepped once per epoch; None for a constant rate.
    """

    network: nn.Module
    optimizer: OptimizerCallable
    scheduler: LRSchedulerCallable | None

    def logged(self) -> Mapping[str, Mode | None]:
        """The names under which a training logs, and whether their minimum or maximum is best; None if unknown."""
        return {"train/loss": "min", "val/loss": "min"}

    @property
    def monitor(self) -> str:
        """Name of the metric that checkpoints, schedulers and early stopping monitor by default."""
        return "val/psnr" if "val/psnr" in self.logged() else "val/loss"

    @property
    def monitor_mode(self) -> Mode:
        """Mode of ``monitor``, the minimum or the maximum."""
        return self.logged().get(self.monitor) or "min"

    def trainable_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that training changes; none for a method that only iterates."""
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def check_trainable(self) -> None:
        """Refuse to train what cannot be.

        Raises:
            UsageError: if the network has nothing to train, or not by this optimizer and scheduler.
        """
        self.optimizer_and_scheduler()

    def optimizer_and_scheduler(self) -> tuple[Optimizer, Any]:
        """Build both from the callables given; the latter is None for a constant rate.

        Raises:
            UsageError: if the network has nothing to train, or one of them refuses it.
        """
        parameters = self.trainable_parameters()
        if not parameters:
            raise UsageError(f"{type(self.network).__name__} has nothing to train: run test or predict instead of fit")
        optimizer = _built("--model.optimizer", lambda: self.optimizer(iter(parameters)))
        if (make := self.scheduler) is None:
            return optimizer, None
        scheduler = _built("--model.scheduler", lambda: make(optimizer))
        if isinstance(scheduler, ReduceLROnPlateau) and (mode := self.logged().get(self.watched_by(scheduler))):
            # Public names have no way to change it, and its default lowers the rate while PSNR rises.
            scheduler._init_is_better(mode, scheduler.threshold, scheduler.threshold_mode)  # noqa: SLF001
            scheduler._reset()  # noqa: SLF001
        return optimizer, scheduler

    def watched_by(self, scheduler: Any) -> str:
        """Return the metric that a plateau scheduler monitors, its own or that of the module."""
        return getattr(scheduler, "monitor", None) or self.monitor

    def configure_optimizers(self) -> Any:
        """Build optimizer and scheduler, and let the latter see each validation.

        Raises:
            UsageError: if the network has nothing to train, or one of them refuses it.
        """
        optimizer, scheduler = self.optimizer_and_scheduler()
        if scheduler is None:
            return optimizer
        chosen = {"scheduler": scheduler, "monitor": self.watched_by(scheduler)}
        if isinstance(scheduler, ReduceLROnPlateau) and self._trainer is not None:
            chosen["frequency"] = self._trainer.check_val_every_n_epoch or 1
        return {"optimizer": optimizer, "lr_scheduler": chosen}


def _built(argument: str, make: Callable[[], Built]) -> Built:
    try:
        return make()
    except (RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"{argument} cannot be used to train this network: {first_line(error)}") from error
