"""Pictures of a training as it goes."""

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.files import write_whole
from lowrank_unroll.modules import ReconstructionModule, Step
from lowrank_unroll.pictures import Panel, animation, comparison, draw_panels, panel_of
from lowrank_unroll.runs.logged_media import log_picture
from lowrank_unroll.sample import Sample


class TrainingPictures(Callback):
    """Show the same few validation samples again and again while a network is trained.

    A row per sample: reference, zero-filled, reconstruction, error, magnified, and mask, without reference and error
    where there is no ground truth; of series of images also the first one as a moving picture. They go to Weights &
    Biases or TensorBoard if the run is logged there, and else to ``pictures/epoch0003.png`` and ``.gif`` in the folder
    of the run, where the last validation of an epoch stays.

    The reconstructions are those that validation has made, so the training is the same with and without.

    Args:
        samples: how many, the first ones of the validation set, or of the first process's share; 0 for no pictures.
        every_n_validations: show every so many validations, beginning with the first.

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
        outputs: Step,
        batch: Sample,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the first samples."""
        missing = self.samples - len(self._panels)
        if missing <= 0 or not self._is_due(trainer) or not trainer.is_global_zero:
            return
        batch, reconstruction = _first(batch, missing), outputs["reconstruction"][:missing]
        zero_filled = pl_module.zero_filled(batch)
        targets = [None] * len(reconstruction) if batch.target is None else batch.target
        if not self._panels and reconstruction.is_complex():
            self._series = animation(*comparison(targets[0], zero_filled[0], reconstruction[0]))
        rows = zip(batch.name, targets, zero_filled, reconstruction, batch.mask, strict=True)
        self._panels += [panel_of(pl_module, name, tuple(images), mask) for name, *images, mask in rows]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show them."""
        if trainer.sanity_checking:
            return
        folder = Path(trainer.log_dir or trainer.default_root_dir)  # every rank asks, for rank zero tells the others
        path = folder / "pictures" / f"epoch{trainer.current_epoch:04d}"
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


def _first(batch: Sample, count: int) -> Sample:
    return Sample._make(None if field is None else field[:count] for field in batch)


def _show(trainer: Trainer, key: str, encoded: bytes, path: Path) -> None:
    if not log_picture(trainer, key, encoded):
        write_whole(path, encoded)
