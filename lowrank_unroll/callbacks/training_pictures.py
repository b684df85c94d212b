"""Pictures of validation samples in the course of a training."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.files import write_whole
from lowrank_unroll.modules import ReconstructionModule, StepOutput
from lowrank_unroll.pictures import Panel, animation, comparison, draw_panels, make_panel
from lowrank_unroll.runs.folders import run_folder
from lowrank_unroll.runs.loggers import log_picture
from lowrank_unroll.sample import Sample


class TrainingPictures(Callback):
    """Draw the same few validation samples after each validation of a training.

    Each sample is a row: reference, adjoint reconstruction, reconstruction, magnified error and mask, without reference
    and error where there is no target. The first series is also animated. The pictures go to Weights & Biases or
    TensorBoard if the run is logged there, and else to ``pictures/epoch0003.png`` and ``.gif`` in the folder of the
    run; of several validations in one epoch the last one stays.

    The reconstructions are those of the validation itself, so the training is the same with and without this callback.

    Args:
        samples: number of samples, the first of the validation set, or of the first process's share; 0 for no pictures.
        every_n_validations: draw every n-th validation, beginning with the first.

    Raises:
        ValueError: if ``samples`` is negative or ``every_n_validations`` is not positive.
    """

    def __init__(self, samples: int = 2, every_n_validations: int = 1) -> None:
        check_at_least(0, samples=samples)
        check_at_least(1, every_n_validations=every_n_validations)
        self.samples = samples
        self.every_n_validations = every_n_validations
        self._validations = 0
        self._panels: list[Panel] = []
        self._series = b""

    def on_validation_batch_end(  # type: ignore[override]
        self,
        trainer: Trainer,
        pl_module: ReconstructionModule,
        outputs: StepOutput,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first samples."""
        missing = self.samples - len(self._panels)
        if missing <= 0 or not self._is_due(trainer) or not trainer.is_global_zero:
            return
        batch, reconstruction = batch.first(missing), outputs["reconstruction"][:missing]
        zero_filled = pl_module.zero_filled(batch)
        targets = [None] * len(reconstruction) if batch.target is None else batch.target
        if not self._panels and pl_module.is_series(reconstruction):
            self._series = animation(*comparison(targets[0], zero_filled[0], reconstruction[0], pl_module.adjoint_name))
        rows = zip(batch.name, targets, zero_filled, reconstruction, batch.mask_on_grid().cpu(), strict=True)
        drawing = (pl_module.pictures, pl_module.metrics()["psnr"].function, pl_module.curves, pl_module.adjoint_name)
        self._panels += [
            make_panel(name, tuple(images), pl_module.picture_of_mask(mask), *drawing) for name, *images, mask in rows
        ]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write or log the pictures."""
        if trainer.sanity_checking:
            return
        path = run_folder(trainer) / "pictures" / f"epoch{trainer.current_epoch:04d}"
        if self._panels:
            _show(trainer, "val/pictures", draw_panels(self._panels), path.with_suffix(".png"))
        if self._series:
            _show(trainer, "val/cine", self._series, path.with_suffix(".gif"))
        self._panels, self._series = [], b""
        self._validations += 1

    def _is_due(self, trainer: Trainer) -> bool:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return False  # a development run leaves nothing behind
        in_training = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
        return in_training and self._validations % self.every_n_validations == 0


def _show(trainer: Trainer, key: str, encoded: bytes, path: Path) -> None:
    if not log_picture(trainer, key, encoded):
        write_whole(path, encoded)
