"""The base of tasks that complete images of which a part of the values is known."""

from functools import partial
from typing import ClassVar

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lowrank_unroll.modules.reconstruction import ReconstructionModule
from lowrank_unroll.modules.self_ensemble import WAYS, reconstruct_in_eight_ways
from lowrank_unroll.modules.supervision import SSDU
from lowrank_unroll.modules.tiling import count_calls, reconstruct_tiles
from lowrank_unroll.operators import Mask
from lowrank_unroll.sample import COLOUR_AXES, Sample

LARGEST_WHOLE = 1024**2  # pixels
TILE = 512  # pixels a side


class CompletionModule(ReconstructionModule):
    """Complete real images (channel, height, width) of which a part of the values is known.

    Args:
        network: called as ``network(measurement, operator)``, returns the reconstruction.
        optimizer: from parameters to optimizer.
        scheduler: from optimizer to learning-rate scheduler, stepped once per epoch; None for a constant rate.
        tile_size: validate, test and predict in overlapping square tiles of this many pixels a side, blended; None
            for whole images, and tiles of 512 of those over a megapixel if the network needs it. A network trained on
            small patches does better in tiles of their size.
        compile: train faster after a slower first step: on one GPU all kernels of a step are launched as one, elsewhere
            convolutions are compiled.
        shrinkage: False trains the network with its low-rank steps replaced by the identity, an ablation.
        loss: called as ``loss(reconstruction, target)``; None for the mean squared error.
        weights: initial ones: the name of a bundled network, a file or a checkpoint; None for random ones.
        self_supervision: train and validate without targets, see :class:`SSDU`; None to use targets.
        self_ensemble: validate, test and predict by the mean of the reconstructions of each image flipped and turned
            in eight ways: a little better, in eight times the time.

    Raises:
        ValueError: if ``tile_size`` is not positive.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES

    def __init__(
        self,
        network: nn.Module,
        optimizer: OptimizerCallable = torch.optim.Adam,
        scheduler: LRSchedulerCallable | None = None,
        tile_size: int | None = None,
        compile: bool = False,  # noqa: A002  as PyTorch calls it
        shrinkage: bool = True,
        loss: nn.Module | None = None,
        weights: str | None = None,
        self_supervision: SSDU | None = None,
        self_ensemble: bool = False,
    ) -> None:
        super().__init__(network, optimizer, scheduler, compile, shrinkage, loss, weights, self_supervision)
        if tile_size is not None and tile_size < 1:
            raise ValueError(f"tile_size is {tile_size}, expected at least 1, or null for whole images")
        self.tile_size = tile_size
        self.self_ensemble = self_ensemble

    def operator(self, batch: Sample) -> Mask:
        """Return the mask, of single values, each channel its own."""
        return Mask(batch.mask)

    def picture_of_mask(self, mask: Tensor) -> Tensor:
        """Draw the sampled values as an image that is 1 there."""
        sampled = mask.float()
        return self.picture(sampled, sampled)

    def forward(self, batch: Sample) -> Tensor:
        """Reconstruct a batch (batch, channel, height, width); in evaluation in tiles or in eight ways, if set."""
        if self.training:
            return super().forward(batch)
        if not self.self_ensemble:
            return self._reconstruct(batch, batch.measurement, batch.mask)
        return reconstruct_in_eight_ways(partial(self._reconstruct, batch), batch.measurement, batch.mask)

    def crop(self, batch: Sample, side: int) -> Sample:
        """Return the middle of the first image of a batch, at most ``side`` pixels a side, as a batch."""
        top, left = ((whole - min(whole, side)) // 2 for whole in batch.measurement.shape[-2:])
        window = (slice(1), slice(None), slice(top, top + side), slice(left, left + side))
        return batch.first(1)._replace(measurement=batch.measurement[window], mask=batch.mask[window], target=None)

    def network_calls(self, batch: Sample) -> int:
        """Return how many times the network is called to reconstruct a batch outside of training."""
        tile_size = self._tile_size_for(batch.measurement)
        calls = 1 if tile_size is None else count_calls(self.network, batch.measurement.shape, tile_size)
        return calls * (len(WAYS) if self.self_ensemble else 1)

    def _reconstruct(self, batch: Sample, measurement: Tensor, mask: Tensor) -> Tensor:
        """Reconstruct a batch with another measurement and mask in the place of its own."""
        tile_size = self._tile_size_for(measurement)
        if tile_size is None:
            return super().forward(batch._replace(measurement=measurement, mask=mask))
        return reconstruct_tiles(self.network, measurement, mask, tile_size)

    def _tile_size_for(self, measurement: Tensor) -> int | None:
        return self.tile_size or _tile_size_for(self.network, measurement)


def _tile_size_for(network: nn.Module, measurement: Tensor) -> int | None:
    """Return the side of the tiles that a network needs for images of this size; None for whole images.

    Networks that decompose whole images take time that grows as the cube of the side, and more memory than there is.
    Networks that work on parts of images need no tiles.
    """
    large = measurement.shape[-2] * measurement.shape[-1] > LARGEST_WHOLE
    return TILE if large and not getattr(network, "works_in_parts", False) else None
