"""The LightningModule that every task extends."""

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, TypedDict, cast

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torchmetrics import Metric, MetricCollection

from lowrank_unroll.checks import check_axes
from lowrank_unroll.curves import Curves
from lowrank_unroll.errors import UsageError
from lowrank_unroll.metrics import SampleMean, psnr
from lowrank_unroll.modules.losses import SquaredError
from lowrank_unroll.modules.optimization import Mode, OptimizedModule
from lowrank_unroll.modules.supervision import SSDU, Stage, Supervised, Supervision
from lowrank_unroll.modules.sure import SURE
from lowrank_unroll.networks.unrolled import collected_penalties
from lowrank_unroll.operators import LinearOperator
from lowrank_unroll.prox import remove_shrinkage
from lowrank_unroll.runs.cuda_graphs import CUDAGraphs, Reconstruct, can_capture
from lowrank_unroll.runs.stopwatch import Stopwatch
from lowrank_unroll.sample import SERIES_AXES, Sample, known_target
from lowrank_unroll.weights import load_weights

COLORS = 3


class StepOutput(TypedDict):
    """The output of a training, validation or test step, which callbacks receive.

    ``seconds`` is how long a test step took to reconstruct its batch.
    """

    loss: Tensor
    reconstruction: Tensor
    seconds: float


class ReconstructionModule(OptimizedModule):
    """Train and test a network that reconstructs an image, or several, from a measurement.

    A task defines its forward model (:meth:`operator`), and may replace the loss and the metrics. Several images are
    components of one tensor, its first dim after the batch.

    Args:
        network: called as ``network(measurement, operator)``, returns the reconstruction.
        optimizer: from parameters to optimizer.
        scheduler: from optimizer to learning-rate scheduler, stepped once per epoch; None for a constant rate.
        compile: train faster after a slower first step: on one GPU all kernels of a step are launched as one, see
            ``runs.cuda_graphs``; elsewhere ``network.compile()`` is called, and networks here compile convolutions.
        shrinkage: False trains the network with its low-rank steps replaced by the identity, an ablation. Untrained
            methods that it starts from keep theirs.
        loss: called as ``loss(reconstruction, target)``, such as :class:`LogSquaredError`; None for the mean squared
            error. Self-supervision has a loss of its own.
        weights: initial ones: the name of a bundled network, a file (.safetensors), or a checkpoint; None for random.
        self_supervision: train and validate without targets, see :class:`SSDU` and :class:`SURE`; None to use targets.

    Attributes:
        image_axes: names of the dims of an image, without batch; None for a task that takes images of any kind.
        components: names of the images of one reconstruction, along its first dim; none if it is one image.
        adjoint_name: name of the adjoint reconstruction A^H y in tables and pictures.

    Raises:
        UsageError: if the network is for images of another kind, or has no shrinkage to leave out, or the weights are
            of another network, or there are two losses, or "psnr" is not among the metrics.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = None
    components: ClassVar[tuple[str, ...]] = ()
    adjoint_name: ClassVar[str] = "zero-filled"

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerCallable = torch.optim.Adam,
        scheduler: LRSchedulerCallable | None = None,
        compile: bool = False,  # noqa: A002  as PyTorch calls it
        shrinkage: bool = True,
        loss: nn.Module | None = None,
        weights: str | None = None,
        self_supervision: SSDU | SURE | None = None,
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
        self.register_module("error", loss or SquaredError())  # weights of a loss have this name in checkpoints
        self.self_supervision = self_supervision
        self.supervision: Supervision = self_supervision or Supervised()
        if not shrinkage:
            remove_shrinkage(network)
        self.has_initial_weights = weights is not None
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
        """Compile the network, or capture its steps on a GPU, if ``compile`` is set; weights keep their names."""
        self.reconstruct_to_train = self.reconstruct  # graphs of an earlier training hold its weights
        if not self.compile_network:
            return
        trainer = self._trainer  # None outside of a training
        # Self-supervision reconstructs several times before it differentiates, but a graph keeps the last replay only.
        if trainer is not None and self.self_supervision is None and can_capture(trainer):
            self.reconstruct_to_train = CUDAGraphs(self.network, self.reconstruct)
        else:
            self.network.compile()

    @property
    def loss_function(self) -> nn.Module:
        """The loss that was given, or the mean squared error."""
        return cast("nn.Module", self.error)

    @abstractmethod
    def operator(self, batch: Sample) -> LinearOperator:
        """Return the forward model of a batch, which maps its targets to its measurements, but for noise."""

    def loss(self, reconstruction: Tensor, batch: Sample) -> Tensor:
        """Return the training loss, where there are targets."""
        return self.loss_function(reconstruction, known_target(batch))  # type: ignore[no-any-return]

    def metrics(self) -> dict[str, SampleMean]:
        """Return the metrics of validation and test by name; "psnr" must be among them."""
        return {"psnr": SampleMean(psnr, higher_is_better=True)}

    def logged(self) -> Mapping[str, Mode | None]:
        """Return the names of the loss and of the metrics of validation; without targets those of the loss alone."""
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

    def split(self, image: Tensor) -> dict[str, Tensor]:
        """Return the components of an image of a sample by name; a task of one image has one, with an empty name."""
        return dict(zip(self.components, image, strict=True)) if self.components else {"": image}

    def is_series(self, image: Tensor) -> bool:
        """Return True if images of this task are series (time, height, width), as all complex ones are taken for."""
        return image.is_complex() or (self.image_axes or ())[-len(SERIES_AXES) :] == SERIES_AXES

    def pictures(self, image: Tensor, target: Tensor) -> Tensor:
        """Return the :meth:`picture` of each component of a reconstruction, one below the other."""
        bright = self.split(target)
        return torch.cat([self.picture(one, bright[name]) for name, one in self.split(image).items()], dim=-2)

    def picture(self, image: Tensor, target: Tensor) -> Tensor:
        """Return one image, (channel, height, width), as colours (3, height, width), black 0 and white 1.

        Args:
            image: a target, measurement or reconstruction; unless it has three channels, their mean is shown in grey.
                Of a complex image the magnitude is shown, relative to the target's largest.
            target: of the same sample, to take the brightness from.
        """
        return as_colors(relative_magnitude(image, target) if image.is_complex() else image)

    def picture_of_mask(self, mask: Tensor) -> Tensor | None:
        """Return the mask of one sample as colours, sampled 1; None where a task is not about sampling.

        Args:
            mask: boolean, without the dim of the batch.
        """
        return None

    def curves(self, image: Tensor) -> Curves | None:
        """Return curves to draw beside the picture of one image, such as the spectra of pixels; None for none.

        They are drawn of the reconstruction and of the target, at the same pixels.
        """
        return None

    def zero_filled(self, batch: Sample) -> Tensor:
        """Return the adjoint reconstruction of a batch, from which networks start and to which they are compared."""
        return self.operator(batch).adjoint(batch.measurement)

    def training_loss(self, batch: Sample) -> Tensor:
        """Return the scalar that a training step minimises, of its objective and the penalties of the network."""
        return self.supervision.objective(self, self.reconstruct, batch, "train", self.global_step)[0]

    def training_step(self, batch: Sample, batch_idx: int) -> StepOutput:
        """Reconstruct a batch and log its loss."""
        reconstruct = self.reconstruct_to_train
        loss, reconstruction = self.supervision.objective(self, reconstruct, batch, "train", self.global_step)
        self._log_loss(loss, batch, "train", prog_bar=True)
        return StepOutput(loss=loss, reconstruction=reconstruction, seconds=0.0)

    def validation_step(self, batch: Sample, batch_idx: int) -> StepOutput:
        """Reconstruct a batch and log its loss and metrics; the loss alone if the training has no targets."""
        loss, reconstruction = self.supervision.objective(self, self.reconstruct, batch, "val", batch_idx)
        has_targets = self.self_supervision is None
        self._log_loss(loss, batch, "val", prog_bar=not has_targets)
        if has_targets:
            self._log_metrics(self.val_metrics, reconstruction, batch, prog_bar=True)
        return StepOutput(loss=loss, reconstruction=reconstruction, seconds=0.0)

    def test_step(self, batch: Sample, batch_idx: int) -> StepOutput:
        """Reconstruct a batch, and log its loss and metrics, which need targets."""
        with Stopwatch(self.device) as watch:
            reconstructed = self.reconstruct(batch)
        loss, reconstruction = Supervised().objective(self, lambda _: reconstructed, batch, "test", batch_idx)
        self._log_loss(loss, batch, "test", prog_bar=False)
        self._log_metrics(self.test_metrics, reconstruction, batch, prog_bar=False)
        return StepOutput(loss=loss, reconstruction=reconstruction, seconds=watch.seconds)

    def predict_step(self, batch: Sample, batch_idx: int) -> Tensor:
        """Reconstruct a batch in the data's own unit."""
        reconstruction: Tensor = self(batch)
        return reconstruction * batch.scale.reshape(-1, *[1] * (reconstruction.ndim - 1))

    def _log_loss(self, loss: Tensor, batch: Sample, stage: Stage, *, prog_bar: bool) -> None:
        # Lightning weights the mean over processes by this; a float, since it truncates the mean of integers.
        samples: Any = float(len(batch.measurement))
        self.log(f"{stage}/loss", loss, prog_bar=prog_bar, batch_size=samples, sync_dist=True)

    def _log_metrics(self, metrics: MetricCollection, reconstruction: Tensor, batch: Sample, *, prog_bar: bool) -> None:
        # Mixed precision is for the network: the convolutions of SSIM and HFEN are in full precision.
        with torch.autocast(self.device.type, enabled=False):
            metrics.update(reconstruction, known_target(batch))
            self.log_dict(metrics, prog_bar=prog_bar)

    def _metric_collection(self, stage: Stage) -> MetricCollection:
        metrics: dict[str, Metric | MetricCollection] = {**self.metrics()}
        if "psnr" not in metrics:
            raise UsageError(
                f"{type(self).__name__}.metrics() returns {', '.join(metrics) or 'none'}, expected psnr among "
                "them, which pictures show and checkpoints go by: return super().metrics() with yours"
            )
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
            if callable(value) or isinstance(value, SSDU | SURE):
                del self.hparams[name]


def _best(higher_is_better: bool | None) -> Mode | None:
    return None if higher_is_better is None else "max" if higher_is_better else "min"


def as_colors(image: Tensor) -> Tensor:
    """Return an image (channel, height, width) as colours (3, height, width): three channels, or the mean in grey."""
    return image if len(image) == COLORS else image.mean(0, keepdim=True).expand(COLORS, -1, -1)


def relative_magnitude(image: Tensor, target: Tensor) -> Tensor:
    """Return the magnitude of an image, 1 at the largest magnitude of the target, to draw it."""
    return image.abs() / target.abs().max().clamp(min=torch.finfo(target.real.dtype).tiny)
