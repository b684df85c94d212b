"""Optimizer and scheduler of a module, the metric that they and checkpoints monitor, and how they are resumed."""

from abc import ABC
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, Literal, TypeVar

import lightning as L
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lowrank_unroll.errors import UsageError, first_line
from lowrank_unroll.modules.finite_gradients import check_finite
from lowrank_unroll.names import abridged
from lowrank_unroll.runs.resuming import apply_arguments
from lowrank_unroll.sample import Sample
from lowrank_unroll.weights import differing_weights

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
        """Return the names under which a training logs, and whether minimum or maximum is best; None if unknown."""
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
            # By its default, the minimum, it would lower the rate while PSNR rises.
            scheduler.load_state_dict({"mode": mode, "best": -inf if mode == "max" else inf})
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

    def on_train_batch_start(self, batch: Sample, batch_idx: int) -> None:
        """Keep the names of a batch, for the error that a gradient may raise."""
        self._batch_names, self._batch_idx = batch.name, batch_idx

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Stop before a gradient that is not finite reaches the weights.

        Raises:
            NonFiniteGradientError: names the step, the batch and the parameters.
        """
        gradients = {name: p.grad for name, p in self.named_parameters() if p.grad is not None}
        where = f"epoch {self.current_epoch}, batch {self._batch_idx}, step {self.global_step}"
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        check_finite(gradients, where, self._batch_names, 1.0 if scaler is None else scaler.get_scale())

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Explain a checkpoint of another network, and resume with the optimizer and scheduler as they are given now.

        Raises:
            UsageError: if names or shapes of the weights differ, unless ``strict_loading`` is off, or if the optimizer
                or scheduler to resume with is of another class.
        """
        differing = differing_weights(self.state_dict(), checkpoint["state_dict"])
        if self.strict_loading and differing:
            raise UsageError(
                f"the checkpoint is of another network: {len(differing)} weights differ in name or shape, such as "
                f"{abridged(differing, limit=2)}. Give the config that it was trained with, config.yaml in the folder "
                "of its run, or another --ckpt_path"
            )
        if self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING:
            optimizer, scheduler = self.optimizer_and_scheduler()
            apply_arguments(checkpoint, self.hparams, optimizer, scheduler, self.watched_by(scheduler))


def _built(argument: str, make: Callable[[], Built]) -> Built:
    try:
        return make()
    except (RuntimeError, TypeError, ValueError) as error:
        raise UsageError(f"{argument} cannot be used to train this network: {first_line(error)}") from error
