"""Pictures, animations, tables and histograms for the loggers that can show them."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from PIL import Image
from torch import Tensor


def log_picture(trainer: Trainer, key: str, encoded: bytes) -> bool:
    """Send a PNG, or an animated GIF, to Weights & Biases and TensorBoard; False if the run is logged to neither."""
    shown = False
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            _to_wandb(logger, key, encoded, trainer.global_step)
            shown = True
        elif isinstance(logger, TensorBoardLogger):
            _to_tensorboard(logger, key, encoded, trainer.global_step)
            shown = True
    return shown


def log_table(trainer: Trainer, key: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Send a table to Weights & Biases, if the run is logged to it."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_table(key, columns=list(columns), data=[list(row) for row in rows])


def log_numbers(trainer: Trainer, numbers: Mapping[str, float], step: int) -> None:
    """Log numbers, but not into the CSVLogger's table, whose rows are those of the trainer's own steps."""
    for logger in trainer.loggers:
        if not isinstance(logger, CSVLogger):
            logger.log_metrics(dict(numbers), step)


def log_histograms(trainer: Trainer, values: Mapping[str, Tensor], edges: npt.NDArray[np.floating], step: int) -> None:
    """Log histograms of values to Weights & Biases, between the given edges of the bins, and to TensorBoard."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            import wandb  # noqa: PLC0415  takes a second to import

            histograms: dict[str, Any] = {
                name: wandb.Histogram(np_histogram=np.histogram(of_name, edges)) for name, of_name in values.items()
            }
            logger.log_metrics(histograms, step)
        elif isinstance(logger, TensorBoardLogger):
            for name, of_name in values.items():
                logger.experiment.add_histogram(name, of_name, step)


def _to_wandb(logger: WandbLogger, key: str, encoded: bytes, step: int) -> None:
    picture = Image.open(BytesIO(encoded))
    if picture.format == "GIF":
        logger.log_video(key, [BytesIO(encoded)], step, format=["gif"])
    else:
        logger.log_image(key, [picture], step)


def _to_tensorboard(logger: TensorBoardLogger, key: str, encoded: bytes, step: int) -> None:
    from tensorboard.compat.proto.summary_pb2 import Summary  # noqa: PLC0415  an extra, needed only by its logger

    width, height = Image.open(BytesIO(encoded)).size
    # SummaryWriter.add_image takes no GIF, and add_video needs moviepy; the file format takes any encoded image.
    image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=encoded)
    logger.experiment.file_writer.add_summary(Summary(value=[Summary.Value(tag=key, image=image)]), step)
