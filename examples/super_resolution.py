"""A new inverse problem in thirty lines: 2x super-resolution of photographs, with the network of colour CS.

    python examples/super_resolution.py

It takes an operator, a LightningModule that names it and a DataModule that measures with it; the network, the
photographs, the metrics and the report are reused.
"""

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from datamodules import SamplePhotos
from lowrank_unroll.callbacks import TestReport
from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.networks import TLRNet
from lowrank_unroll.operators import LinearOperator
from lowrank_unroll.sample import Sample

FACTOR = 2


class BlockAverage(LinearOperator):
    """Average blocks of pixels, times the block's side so that A A^H is the identity."""

    partial_isometry = True

    def forward(self, image: Tensor) -> Tensor:
        """Shrink an image (batch, channel, height, width) whose sides are multiples of the factor."""
        return FACTOR * nn.functional.avg_pool2d(image, FACTOR)

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Repeat each pixel over its block."""
        return nn.functional.interpolate(measurement, scale_factor=FACTOR, mode="nearest") / FACTOR


class SuperResolution(ReconstructionModule):
    """Reconstruct a photograph from the averages of its blocks of pixels."""

    def operator(self, batch: Sample) -> BlockAverage:
        """Averages of blocks, the same for every batch."""
        return BlockAverage()


class LowResolutionPhotos(SamplePhotos):
    """The sample photographs, measured by averages of blocks instead of random masks."""

    def on_after_batch_transfer(self, batch: Sample, dataloader_idx: int) -> Sample:
        """Measure on the device."""
        height, width = (side - side % FACTOR for side in batch.target.shape[-2:])
        target = batch.target[..., :height, :width]
        return batch._replace(target=target, measurement=BlockAverage()(target))


def main(max_epochs: int = 2, patches_per_image: int = 512) -> None:
    """Train, test, and write a table and a picture."""
    L.seed_everything(3407)
    module = SuperResolution(TLRNet(iterations=3), optimizer=lambda weights: torch.optim.Adam(weights, lr=2e-3))
    data = LowResolutionPhotos(patches_per_image=patches_per_image, batch_size=32)
    trainer = L.Trainer(
        max_epochs=max_epochs,
        logger=CSVLogger("runs", name="super_resolution"),
        callbacks=[TestReport()],
        log_every_n_steps=1,
    )
    trainer.fit(module, data)
    trainer.test(module, data, verbose=False)


if __name__ == "__main__":
    main()
