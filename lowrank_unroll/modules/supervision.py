"""Objectives of a training: with targets, or without them, by predicting samples that the network has not seen."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least, check_fraction
from lowrank_unroll.errors import UsageError
from lowrank_unroll.names import abridged
from lowrank_unroll.runs.cuda_graphs import Reconstruct
from lowrank_unroll.sample import Sample

if TYPE_CHECKING:
    from lowrank_unroll.modules.reconstruction import ReconstructionModule

Stage = Literal["train", "val", "test"]


class Supervision(Protocol):
    """An objective of training and validation."""

    def objective(
        self, task: "ReconstructionModule", reconstruct: Reconstruct, batch: Sample, stage: Stage, step: int
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct a batch and judge it.

        Args:
            task: names the forward model and the loss.
            reconstruct: returns the reconstruction of a batch, and the penalties of the network.
            batch: to reconstruct.
            stage: training or validation.
            step: number of the training step, or of the validation batch.

        Returns:
            The loss with the penalties, a scalar, and the reconstruction.
        """


class Supervised:
    """Compare reconstructions to targets, by the loss of the task."""

    def objective(
        self, task: "ReconstructionModule", reconstruct: Reconstruct, batch: Sample, stage: Stage, step: int
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct the whole measurement, and compare to the target; see ``Supervision``."""
        reconstruction, penalty = reconstruct(batch)
        with torch.autocast(task.device.type, enabled=False):
            return task.loss(reconstruction, batch) + penalty, reconstruction


@dataclass(frozen=True)
class SSDU:
    """Self-supervision via data undersampling (Yaman et al., Magn. Reson. Med. 84, 2020), optionally multi-mask.

    The samples of a measurement are split at random: the network reconstructs from those of the input mask (Theta in
    the paper), and the loss is taken at those of the loss mask (Lambda). With several masks (Yaman et al., NMR Biomed.
    35, 2022) a training step averages the loss over as many splits.

    Args:
        share: of the samples, in the loss mask.
        masks: splits of each measurement in a training step.
        center: rows and columns in the middle of the mask that stay in the input mask, for they hold most of the energy
            of k-space; along a trajectory the samples in a square of as many cycles per field of view. 0 for
            measurements that have no center, such as pixels.
        centre: deprecated name of ``center``.

    Raises:
        ValueError: if the share is not in (0, 1), or a number is too small.
    """

    share: float = 0.4
    masks: int = 1
    center: int = 4
    centre: int | None = None

    def __post_init__(self) -> None:
        if self.centre is not None:
            warnings.warn("centre of SSDU is now center", DeprecationWarning, stacklevel=3)
            object.__setattr__(self, "center", self.centre)
            object.__setattr__(self, "centre", None)
        check_fraction(share=self.share)
        check_at_least(1, masks=self.masks)
        check_at_least(0, center=self.center)

    def objective(
        self, task: "ReconstructionModule", reconstruct: Reconstruct, batch: Sample, stage: Stage, step: int
    ) -> tuple[Tensor, Tensor]:
        """Reconstruct from a part of the samples, and compare to the others; see ``Supervision``.

        Validation takes one split of each batch, the same in every epoch. Returned is the last reconstruction.
        """
        masks = self.masks if stage == "train" else 1
        losses = []
        for number in range(step * masks, (step + 1) * masks):
            network_input, unseen = self.split(batch, number)
            reconstruction, penalty = reconstruct(network_input)
            with torch.autocast(task.device.type, enabled=False):
                prediction = task.operator(unseen)(reconstruction)
                losses.append(relative_error(prediction, unseen.measurement) + penalty)
        return torch.stack(losses).mean(), reconstruction

    def split(self, batch: Sample, number: int) -> tuple[Sample, Sample]:
        """Return the samples of the input mask and those of the loss mask, which depend on the number alone.

        Raises:
            UsageError: if the loss mask cannot be expected to hold a sample; names the images.
        """
        self._check_share(batch)
        generator = torch.Generator(batch.mask.device).manual_seed(number)
        loss_mask = self.loss_mask(batch.mask, generator, batch.trajectory)
        input_mask = batch.mask & ~loss_mask
        of_input, of_loss = (
            batch._replace(mask=mask, measurement=batch.measurement * mask) for mask in (input_mask, loss_mask)
        )
        return of_input, of_loss

    def loss_mask(
        self, mask: Tensor, generator: torch.Generator | None = None, trajectory: Tensor | None = None
    ) -> Tensor:
        """Draw the samples that the loss is taken at.

        Args:
            mask: boolean, (batch, ..., height, width), or (batch, 1, time, samples) along a trajectory.
            generator: on the device of the mask; None for the global one.
            trajectory: (batch, time, samples, 2), cycles per field of view; None on a grid.

        Returns:
            Boolean, shape of ``mask``, and False where that is.
        """
        drawn = torch.rand(mask.shape, generator=generator, device=mask.device) < self.share
        return drawn & self._outside_center(mask, trajectory)

    def _outside_center(self, mask: Tensor, trajectory: Tensor | None) -> Tensor:
        if trajectory is None:
            height, width = mask.shape[-2:]
            rows = torch.arange(height, device=mask.device)[:, None] - height // 2
            columns = torch.arange(width, device=mask.device) - width // 2
        else:
            rows, columns = trajectory[:, None].unbind(-1)
        first = -(self.center // 2) if trajectory is None else -self.center / 2
        central = [(first <= place) & (place < first + self.center) for place in (rows, columns)]
        return mask & ~(central[0] & central[1])

    def _check_share(self, batch: Sample) -> None:
        free = int(self._outside_center(batch.mask, batch.trajectory).sum())
        if self.share * free < 1:
            raise UsageError(
                f"the loss mask of {abridged(batch.name, limit=3)} is empty: share {self.share:g} of the {free} "
                f"samples outside the center of {self.center} x {self.center} is less than one. Give a larger "
                "--model.self_supervision.share, or a smaller --model.self_supervision.center"
            )


def relative_error(prediction: Tensor, measurement: Tensor) -> Tensor:
    """Return the loss of SSDU, ||p - y||_2 / ||y||_2 + ||p - y||_1 / ||y||_1 per sample, averaged over the batch.

    Args:
        prediction: p, (batch, ...), real or complex.
        measurement: y, of the same shape; zero where nothing is to be predicted.
    """
    difference, measurement = (prediction - measurement).flatten(1), measurement.flatten(1)
    tiny = torch.finfo(difference.real.dtype).tiny
    ratios = [
        torch.linalg.vector_norm(difference, order, dim=1)
        / torch.linalg.vector_norm(measurement, order, dim=1).clamp(min=tiny)
        for order in (2, 1)
    ]
    return torch.stack(ratios).sum(0).mean()
