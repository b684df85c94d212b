"""A moving picture of what ``test`` reconstructs."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console

from lowrank_unroll.callbacks.animation import COMPARISON_TITLES, animation, comparison
from lowrank_unroll.files import write_whole
from lowrank_unroll.modules import ReconstructionModule, Step
from lowrank_unroll.sample import Sample


class TestAnimation(Callback):
    """Write the first test series as ``test.gif`` into the folder of the run; nothing for still images.

    From left to right: reference, zero-filled, reconstruction, and the error of the reconstruction, magnified.
    """

    __test__ = False  # not a pytest class

    def __init__(self) -> None:
        self._animation = b""

    def on_test_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        pl_module: ReconstructionModule,
        outputs: Step,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first series."""
        if batch_idx == 0 and batch.target.is_complex():
            series = comparison(batch.target[0], pl_module.zero_filled(batch)[0], outputs["reconstruction"][0])
            self._animation = animation(series, COMPARISON_TITLES)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the file."""
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # every rank asks, for rank zero tells the others
        if self._animation and trainer.is_global_zero:
            write_whole(folder / "test.gif", self._animation)
            Console().print(f"Animation: {folder}/test.gif", soft_wrap=True)
        self._animation = b""
