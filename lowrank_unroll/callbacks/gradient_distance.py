"""Distance of a gradient rule from the exact gradient, recorded while a network trains by the rule."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lowrank_unroll.callbacks.step_recorder import StepRecorder
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.prox import RelativeThreshold
from lowrank_unroll.reports import GRADIENT_FILE, GradientDistanceRow
from lowrank_unroll.runs.loggers import log_numbers
from lowrank_unroll.sample import Sample


class GradientDistance(StepRecorder):
    """Record the relative distance of the gradient that a network trains by from the exact one.

    At some training steps both are computed at the same weights and batch, in two more passes. The distances are
    written to ``gradient_distance.csv`` in the folder of the run, and loggers other than the CSVLogger get
    ``gradient/distance``. The training itself stays the same, bit by bit.

    Args:
        every_n_steps: optimizer steps from one record to the next; the first step is recorded.

    Raises:
        ValueError: if an argument is not positive.
    """

    row: ClassVar[type[Any]] = GradientDistanceRow
    file: ClassVar[str] = GRADIENT_FILE

    def __init__(self, every_n_steps: int = 20) -> None:
        super().__init__(every_n_steps)
        self._batch: Sample | None = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Keep the batch of a step to be recorded."""
        self._batch = batch if self.is_due(trainer) else None

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the step, after other callbacks have watched its forward and backward pass."""
        if self._batch is None or not isinstance(pl_module, ReconstructionModule):
            return
        with trainer.precision_plugin.forward_context():
            distance = gradient_distance(pl_module, self._batch)
        self._batch = None
        self.rows.append(GradientDistanceRow(trainer.global_step, distance))
        log_numbers(trainer, {"gradient/distance": distance}, trainer.global_step)


def gradient_distance(module: ReconstructionModule, batch: Sample) -> float:
    """Return ||g - g_exact|| / ||g_exact|| of the gradient of the training loss with respect to all parameters.

    The gradients that the parameters have accumulated are left alone.
    """
    gradient = _gradient(module, batch)
    with _exact_shrinkages(module):
        exact = _gradient(module, batch)
    difference = [own - other for own, other in zip(gradient, exact, strict=True)]
    return float(torch.nn.utils.get_total_norm(difference) / torch.nn.utils.get_total_norm(exact))


def _gradient(module: ReconstructionModule, batch: Sample) -> Sequence[Tensor]:
    with torch.enable_grad():
        return torch.autograd.grad(module.training_loss(batch), module.trainable_parameters(), materialize_grads=True)


@contextmanager
def _exact_shrinkages(module: ReconstructionModule) -> Iterator[None]:
    shrinkages = [child for child in module.modules() if isinstance(child, RelativeThreshold)]
    rules = [shrinkage.gradient for shrinkage in shrinkages]
    try:
        for shrinkage in shrinkages:
            shrinkage.gradient = "exact"
        yield
    finally:
        for shrinkage, rule in zip(shrinkages, rules, strict=True):
            shrinkage.gradient = rule
