"""Checkpoints of a training that is resumed in another folder."""

from pathlib import Path
from typing import Any, Final, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

OF_THE_MODULE: Final = "auto"  # a monitor or mode that is asked of the module


class ResumableCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint whose last checkpoint is the last, and that remembers the best score of the run it resumes.

    Lightning saves the last checkpoint only together with a best one. Here ``save_last`` saves it after each epoch,
    whatever is monitored and however often is validated; also after the steps or minutes of ``every_n_train_steps`` and
    ``train_time_interval``, and when a signal stops the training, see
    :class:`~lowrank_unroll.runs.deferred_signals.DeferredSignals`. It is a file of its own, also with "link".

    Lightning forgets the best score when the folder changes, as it does with every run, and would call the first epoch
    after resuming the best one. The resumed run writes a new best checkpoint only if it beats the old one.

    Args:
        dirpath: folder of the checkpoints; None for one in the folder of the run.
        filename: of the best one, without suffix; None for one of epoch and step.
        monitor: by which the best is chosen; "auto" for what the module names, PSNR, or the loss without targets; None
            for none.
        mode: whether its minimum or maximum is best; "auto" for what the module knows of it, otherwise the minimum.
        keywords: see ModelCheckpoint.
    """

    _place_of_last: tuple[int, int] | None = None  # where in the training the last checkpoint was saved

    def __init__(
        self,
        dirpath: str | Path | None = None,
        filename: str | None = None,
        monitor: str | None = None,
        mode: Literal["auto", "min", "max"] = OF_THE_MODULE,
        **keywords: Any,
    ) -> None:
        self.mode_is_chosen = mode != OF_THE_MODULE
        super().__init__(dirpath, filename, monitor, mode=mode if self.mode_is_chosen else "min", **keywords)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Begin anew, and ask the module what is not chosen."""
        if self.monitor == OF_THE_MODULE:
            self.monitor = pl_module.monitor  # type: ignore[assignment]  # of a ReconstructionModule
        logged = getattr(pl_module, "logged", None)  # of a ReconstructionModule, which is above this room
        if not self.mode_is_chosen and logged is not None:
            self.mode = logged().get(str(self.monitor)) or "min"
            self.kth_value = torch.tensor(-torch.inf if self.mode == "max" else torch.inf)
        super().setup(trainer, pl_module, stage)
        self.save_last = bool(self.save_last)  # "link" would link to the best one
        self._place_of_last = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after so many steps or minutes; the last checkpoint also where what is monitored is not known yet."""
        waiting, self._defer_save_until_validation = self._defer_save_until_validation, False
        super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        if self._defer_save_until_validation:
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        self._defer_save_until_validation |= waiting

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last checkpoint after each epoch."""
        super().on_train_epoch_end(trainer, pl_module)
        self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the last checkpoint, and not the best one, when a signal stops the training."""
        if isinstance(exception, SIGTERMException):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        else:
            super().on_exception(trainer, pl_module, exception)

    def _save_last_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        """Save the last checkpoint, once, and not in the middle of an epoch because a validation there was the best."""
        place = trainer.global_step, trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        needless = trainer.validating or place == self._place_of_last
        if needless or trainer.fast_dev_run or trainer.sanity_checking or not trainer.global_step:  # type: ignore[attr-defined]
            return
        saved_before = self._last_global_step_saved
        super()._save_last_checkpoint(trainer, monitor_candidates)
        self._last_global_step_saved = saved_before  # or Lightning would take the best one of this step for saved
        self._place_of_last = place

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore which checkpoints are the best and last, and how good they are."""
        for name in ("best_model_score", "best_model_path", "best_k_models", "kth_best_model_path", "kth_value"):
            setattr(self, name, state_dict[name])
