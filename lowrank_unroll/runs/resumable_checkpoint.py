"""Checkpoints of a training that may be resumed in another folder."""

from pathlib import Path
from typing import Any, Final, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch import Tensor

OF_THE_MODULE: Final = "auto"  # the monitor or mode that the module names


class ResumableCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint that saves the last state whatever is monitored, and keeps the best score when resumed.

    Lightning saves the last checkpoint only together with a best one. Here ``save_last`` saves it after each epoch;
    also after the steps or minutes of ``every_n_train_steps`` and ``train_time_interval``, and when a signal stops the
    training, see :class:`~lowrank_unroll.runs.deferred_signals.DeferredSignals`. It is a file of its own, also with
    "link".

    Lightning forgets the best score when the folder changes, as it does with every run, and would take the first epoch
    after resuming for the best. Here a resumed run writes a new best checkpoint only if it beats the old one.

    Args:
        dirpath: folder of the checkpoints; None for one in the folder of the run.
        filename: of the best one, without suffix; None for one of epoch and step.
        monitor: metric of the best checkpoint; "auto" for the module's, PSNR, or the loss without targets; None for
            none.
        mode: minimum or maximum; "auto" for what the module knows of the metric, otherwise the minimum.
        keywords: see ModelCheckpoint.
    """

    _last_position: tuple[int, int] | None = None  # global step, and batches of the epoch, of the last checkpoint

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
        """Take monitor and mode from the module where they are not chosen."""
        if self.monitor == OF_THE_MODULE:
            self.monitor = pl_module.monitor  # type: ignore[assignment]  # of a ReconstructionModule
        logged = getattr(pl_module, "logged", None)  # of a ReconstructionModule, which is above this room
        if not self.mode_is_chosen and logged is not None:
            self.mode = logged().get(str(self.monitor)) or "min"
            self.kth_value = torch.tensor(-torch.inf if self.mode == "max" else torch.inf)
        super().setup(trainer, pl_module, stage)
        self.save_last = bool(self.save_last)  # "link" would link to the best one
        self._last_position = None

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save after so many steps or minutes; the last checkpoint also before the first validation."""
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
        """Save the last checkpoint, not a best one, when a signal stops the training."""
        if isinstance(exception, SIGTERMException):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))
        else:
            super().on_exception(trainer, pl_module, exception)

    def _save_last_checkpoint(self, trainer: Trainer, monitor_candidates: dict[str, Tensor]) -> None:
        """Save the last checkpoint once at each position; not during a validation that found a new best one."""
        position = trainer.global_step, trainer.fit_loop.epoch_progress.current.processed  # type: ignore[attr-defined]
        needless = trainer.validating or position == self._last_position
        if needless or trainer.fast_dev_run or trainer.sanity_checking or not trainer.global_step:  # type: ignore[attr-defined]
            return
        saved_before = self._last_global_step_saved
        super()._save_last_checkpoint(trainer, monitor_candidates)
        self._last_global_step_saved = saved_before  # else Lightning would skip a best one of this step
        self._last_position = position

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best checkpoints and their scores, also from another folder."""
        for name in ("best_model_score", "best_model_path", "best_k_models", "kth_best_model_path", "kth_value"):
            setattr(self, name, state_dict[name])
