"""Checkpoints of a training that is resumed in another folder."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException


class ResumableCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint that remembers the best score of the run it resumes.

    Lightning forgets it when the folder changes, as it does with every run, and would call the first epoch after
    resuming the best one. The resumed run writes a new best checkpoint only if it beats the old one.

    It also saves the last checkpoint when a signal stops the training, see
    :class:`~lowrank_unroll.callbacks.deferred_signals.DeferredSignals`.
    """

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the last checkpoint, and not the best one, when a signal stops the training."""
        if not isinstance(exception, SIGTERMException):
            super().on_exception(trainer, pl_module, exception)
        elif not self._should_skip_saving_checkpoint(trainer):
            self._save_last_checkpoint(trainer, self._monitor_candidates(trainer))

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore which checkpoints are the best and last, and how good they are."""
        for name in ("best_model_score", "best_model_path", "best_k_models", "kth_best_model_path", "kth_value"):
            setattr(self, name, state_dict[name])
