"""The LightningModule that every task extends."""

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, TypedDict

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection

from lowrank_unroll.checks import check_axes
from lowrank_unroll.errors import UsageError
from lowrank_unroll.metrics import SampleMean, psnr
from lowrank_unroll.modules.colours import colours_of
from lowrank_unroll.modules.finite_gradients import check_finite
from lowrank_unroll.modules.losses import SquaredError
from lowrank_unroll.modules.optimization import Mode, OptimizedModule
from lowrank_unroll.modules.self_supervision import SSDU, relative_error
from lowrank_unroll.names import abridged
from lowrank_unroll.networks.unrolled import collected_penalties
from lowrank_unroll.operators import LinearOperator
from lowrank_unroll.prox import remove_shrinkage
from lowrank_unroll.runs.cuda_graphs import CUDAGraphs, Reconstruct, can_capture
from lowrank_unroll.runs.resuming import take_what_is_given
from lowrank_unroll.runs.stopwatch import Stopwatch
from lowrank_unroll.sample import Sample, known_target
from lowrank_unroll.weights import differing_weights, load_weights

Stage = Literal["train", "val", "test"]


class Step(TypedDict):
    """What a training, validation or test step returns, and callbacks receive as outputs.

    ``seconds`` is how long a test step took to reconstruct its batch.
    """

    loss: Tensor
    reconstruction: Tensor
    seconds: float


class ReconstructionModule(OptimizedModule):
    """Train and test a network that reconstructs an image from a measurement.

    A task says what its forward model is (:meth:`operator`), and may replace the loss and the metrics.

    Args:
        network: called as ``network(measurement, operator)``, returns the reconstruction.
        optimizer: from parameters to optimizer.
        scheduler: from optimizer to learning-rate scheduler, stepped once per epoch; None for a constant rate.
        compile: train faster after a slower first step: on one GPU all kernels of a step are launched as one, see
            ``modules.cuda_graphs``; elsewhere ``network.compile()`` is called, and networks here compile convolutions.
        shrinkage: False trains the network with its low-rank steps replaced by the identity: to ablate what low rank
            brings. Methods without training that it starts from keep theirs.
        loss: called as ``loss(reconstruction, target)``, such as :class:`LogSquaredError`; None for the mean squared
            error. Self-supervision has a loss of its own.
        weights: to begin with: a name in the box, a file (.safetensors), or a checkpoint; None for random ones.
        self_supervision: train and validate without targets, see :class:`SSDU`; None for with them.

    Attributes:
        image_axes: what the dims of an image are, without the batch; None for a task that takes images of any kind.

    Raises:
        UsageError: if the network is for images of another kind, or has no shrinkage to leave out, or the weights are
            those of another, or there are two losses.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = None

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerCallable = torch.optim.Adam,
        scheduler: LRSchedulerCallable | None = None,
        compile: bool = False,  # noqa: A002  as PyTorch calls it
        shrinkage: bool = True,
        loss: nn.Module | None = None,
        weights: str | None = None,
        self_supervision: SSDU | None = None,
    ) -> None:
        super().__init__()
        check_axes(self, network, "--model.network")
        self._save_plain_hyperparameters()
        self.network = network
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.compile_network = compile
        self.reconstruct_to_train: Reconstruct = self.reconstruct
        if loss is not None and self_supervision is not None:
            raise UsageError(
                f"loss is {type(loss).__name__}, but self-supervision has a loss of its own: give --model.loss null "
                "or --model.self_supervision null"
            )
        self.error = loss or SquaredError()
        self.self_supervision = self_supervision
        if not shrinkage:
            remove_shrinkage(network)
        self.begins_trained = weights is not None
        if weights is not None:
            load_weights(network, weights)
        self.val_metrics = self._metric_collection("val")
        self.test_metrics = self._metric_collection("test")

    def check_data(self, datamodule: object) -> None:
        """Refuse data of another task.

        Raises:
            UsageError: if its images are of another kind; names both.
        """
        check_axes(self, datamodule, "--data, or another --model")

    def setup(self, stage: str) -> None:
        """Refuse data of another task before the first batch."""
        self.check_data(getattr(self.trainer, "datamodule", None))

    def configure_model(self) -> None:
        """Compile the network, if that is wanted, or capture its steps on a GPU; its weights keep their names."""
        self.reconstruct_to_train = self.reconstruct  # not the graphs of another training
        if not self.compile_network:
            return
        trainer = self._trainer  # none, where somebody only wants the model
        # Self-supervision reconstructs several times before it differentiates, and a replay keeps one alone.
        if trainer is not None and self.self_supervision is None and can_capture(trainer):
            self.reconstruct_to_train = CUDAGraphs(self.network, self.reconstruct)
        else:
            self.network.compile()

    @abstractmethod
    def operator(self, batch: Sample) -> LinearOperator:
        """The forward model of a batch: what maps its targets to its measurements, but for noise."""

    def loss(self, reconstruction: Tensor, batch: Sample) -> Tensor:
        """The training loss, where there are targets."""
        return self.error(reconstruction, known_target(batch))  # type: ignore[no-any-return]

    def metrics(self) -> dict[str, SampleMean]:
        """The metrics of validation and test by name; must hold "psnr"."""
        return {"psnr": SampleMean(psnr, higher_is_better=True)}

    def logged(self) -> Mapping[str, Mode | None]:
        """The loss, and the metrics of validation; without targets the loss alone."""
        metrics: Mapping[str, Any] = {} if self.self_supervision else dict(self.val_metrics.items())
        return {**super().logged(), **{name: _best(metric.higher_is_better) for name, metric in metrics.items()}}

    def forward(self, batch: Sample) -> Tensor:
        """Reconstruct a batch; shape, dtype and scale of its targets."""
        return self.network(batch.measurement, self.operator(batch))  # type: ignore[no-any-return]

    def reconstruct(self, batch: Sample) -> tuple[Tensor, Tensor | float]:
        """Reconstruct a batch, and in training add up the penalties of unrolled networks, which join the loss."""
        if not self.training:
            return self(batch), 0.0
        with collected_penalties(self.network) as penalties:
            return self(batch), sum(penalties)

    def picture(self, image: Tensor, target: Tensor) -> Tensor:
        """How to show one image, (channel, height, width), as colours (3, height, width), black 0 and white 1.

        Args:
            image: a target, measurement or reconstruction; of other than three channels the mean is shown, in grey.
            target: of the same sample, to take the brightness from.
        """
        return colours_of(image)

    def picture_of_mask(self, mask: Tensor) -> Tensor | None:
        """How to show the mask of one sample as colours, sampled 1; None where a task is not about sampling.

        Args:
            mask: boolean, without the dim of the batch.
        """
        return None

    def zero_filled(self, batch: Sample) -> Tensor:
        """The adjoint reconstruction of a batch, from which the networks start and to which they are compared."""
        return self.operator(batch).adjoint(batch.measurement)

    def _step(self, batch: Sample, stage: Stage) -> Step:
        with Stopwatch(self.device, running=stage == "test") as watch:
            reconstruct = self.reconstruct_to_train if stage == "train" else self.reconstruct
            reconstruction, penalty = reconstruct(batch)
        # Mixed precision is for the network: the convolutions inside SSIM and HFEN are to stay exact.
        with torch.autocast(self.device.type, enabled=False):
            loss = self.loss(reconstruction, batch) + penalty
            self._log_loss(loss, batch, stage, prog_bar=stage == "train")
            if stage != "train":
                metrics = self.val_metrics if stage == "val" else self.test_metrics
                metrics.update(reconstruction, known_target(batch))
                self.log_dict(metrics, prog_bar=stage == "val")
        return Step(loss=loss, reconstruction=reconstruction, seconds=watch.seconds)

    def _step_without_targets(self, batch: Sample, stage: Stage, splits: range, held: SSDU) -> Step:
        """Reconstruct from a part of the samples, and compare to the others."""
        loss, reconstruction = self._predict_held_back(batch, splits, held)
        self._log_loss(loss, batch, stage, prog_bar=True)
        return Step(loss=loss, reconstruction=reconstruction, seconds=0.0)

    def _predict_held_back(self, batch: Sample, splits: range, held: SSDU) -> tuple[Tensor, Tensor]:
        """The loss, and the last reconstruction from a part of the samples; a split is a function of its number."""
        losses = []
        for number in splits:
            given, held_back = held.split(batch, number)
            reconstruction, penalty = self.reconstruct(given)
            with torch.autocast(self.device.type, enabled=False):
                prediction = self.operator(held_back)(reconstruction)
                losses.append(relative_error(prediction, held_back.measurement) + penalty)
        return torch.stack(losses).mean(), reconstruction

    def training_loss(self, batch: Sample) -> Tensor:
        """Return the scalar that a training step minimises, loss and penalties or the self-supervised loss."""
        if (held := self.self_supervision) is not None:
            return self._predict_held_back(batch, self._splits(held), held)[0]
        reconstruction, penalty = self.reconstruct(batch)
        return self.loss(reconstruction, batch) + penalty

    def _splits(self, held: SSDU) -> range:
        first = self.global_step * held.masks
        return range(first, first + held.masks)

    def _log_loss(self, loss: Tensor, batch: Sample, stage: Stage, *, prog_bar: bool) -> None:
        # The mean over the samples of all processes; a float, since Lightning truncates the mean of integers.
        samples: Any = float(len(batch.measurement))
        self.log(f"{stage}/loss", loss, prog_bar=prog_bar, batch_size=samples, sync_dist=True)

    def training_step(self, batch: Sample, batch_idx: int) -> Step:
        """Reconstruct a batch and log its loss."""
        self._batch_names, self._batch_idx = batch.name, batch_idx
        if (held := self.self_supervision) is not None:
            return self._step_without_targets(batch, "train", self._splits(held), held)
        return self._step(batch, "train")

    def validation_step(self, batch: Sample, batch_idx: int) -> Step:
        """Reconstruct a batch and log its loss and metrics; without targets the loss, of samples held back."""
        if (held := self.self_supervision) is not None:
            return self._step_without_targets(batch, "val", range(batch_idx, batch_idx + 1), held)
        return self._step(batch, "val")

    def test_step(self, batch: Sample, batch_idx: int) -> Step:
        """Reconstruct a batch and log its loss and metrics."""
        return self._step(batch, "test")

    def predict_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """Reconstruct a batch in the data's own unit."""
        reconstruction: Tensor = self(batch)
        return reconstruction * batch.scale.reshape(-1, *[1] * (reconstruction.ndim - 1))

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
            take_what_is_given(checkpoint, self.hparams, optimizer, scheduler, self.watched_by(scheduler))

    def _metric_collection(self, stage: Stage) -> MetricCollection:
        metrics: dict[str, Metric | MetricCollection] = {**self.metrics()}
        # compute_groups would merge two metrics whose first values happen to be equal.
        return MetricCollection(metrics, prefix=f"{stage}/", compute_groups=False)

    def _save_plain_hyperparameters(self) -> None:
        """Keep what the CLI gives, plain data; drop the live objects that a construction in Python gives.

        Checkpoints then load with ``weights_only=True``.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Attribute .* is an instance of `nn.Module`")
            self.save_hyperparameters(logger=False)
        for name, value in list(self.hparams.items()):
            if callable(value) or isinstance(value, SSDU):
                del self.hparams[name]


def _best(higher_is_better: bool | None) -> Mode | None:
    return None if higher_is_better is None else "max" if higher_is_better else "min"
