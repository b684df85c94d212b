"""Files of what ``predict`` reconstructs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import BasePredictionWriter
from rich.console import Console
from skimage import io
from torch import Tensor

from lowrank_unroll.callbacks.animation import save_animation
from lowrank_unroll.files import written_whole
from lowrank_unroll.sample import Sample


class PredictionWriter(BasePredictionWriter):
    """Write what is reconstructed into ``predictions/`` in the folder of the run, as it is made.

    Colour images become NAME.png; series of complex images NAME.npy, complex64 in the data's own unit, and NAME.gif to
    look at.
    """

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
        """Write a batch of images (batch, 3, height, width) or complex series (batch, time, height, width)."""
        write = _write_series if prediction.is_complex() else _write_image
        for reconstruction, name in zip(prediction.cpu(), batch.name, strict=True):
            write(reconstruction, _folder(trainer) / name)

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say where the images are."""
        folder = _folder(trainer)  # every rank asks, for rank zero tells the others
        if trainer.is_global_zero:
            Console().print(f"Reconstructions: {folder}", soft_wrap=True)


def _write_image(image: Tensor, path: Path) -> None:
    """Write (3, height, width), in the 8-bit unit of image files."""
    pixels = image.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy()
    with written_whole(path.with_name(f"{path.name}.png")) as temporary:
        io.imsave(temporary, pixels, check_contrast=False)


def _write_series(series: Tensor, path: Path) -> None:
    with written_whole(path.with_name(f"{path.name}.npy")) as temporary:
        np.save(temporary, series.numpy())
    save_animation([series.abs()], path.with_name(f"{path.name}.gif"))


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.log_dir or trainer.default_root_dir) / "predictions"
