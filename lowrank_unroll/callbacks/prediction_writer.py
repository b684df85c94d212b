"""Files of what ``predict`` reconstructs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from rich.console import Console
from skimage import io
from torch import Tensor

from lowrank_unroll.files import written_whole
from lowrank_unroll.sample import Sample


class PredictionWriter(BasePredictionWriter):
    """Write each reconstructed colour image as ``predictions/NAME.png`` in the folder of the run, as it is made."""

    def __init__(self) -> None:
        super().__init__(write_interval="batch")

    def write_on_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        prediction: Tensor,
        batch_indices: Sequence[int] | None,
        batch: Sample,
        *_: Any,
    ) -> None:
        """Write a batch of reconstructions (batch, 3, height, width), in the 8-bit unit of image files."""
        for image, name in zip(prediction, batch.name, strict=True):
            pixels = image.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
            with written_whole(_folder(trainer) / f"{name}.png") as temporary:
                io.imsave(temporary, pixels, check_contrast=False)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where the images are."""
        folder = _folder(trainer)  # every rank asks, for rank zero tells the others
        if trainer.is_global_zero:
            Console().print(f"Reconstructions: {folder}", soft_wrap=True)


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.log_dir or trainer.default_root_dir) / "predictions"
