"""Checkpoints of a training that is resumed in another folder."""

from typing import Any

from lightning.pytorch.callbacks import ModelCheckpoint


class ResumableCheckpoint(ModelCheckpoint):
    """A ModelCheckpoint that remembers the best score of the run it resumes.

    Lightning forgets it when the folder changes, as it does with every run, and would call the first epoch after
    resuming the best one. The resumed run writes a new best checkpoint only if it beats the old one.
    """

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore which checkpoints are the best and last, and how good they are."""
        for name in ("best_model_score", "best_model_path", "best_k_models", "kth_best_model_path", "kth_value"):
            setattr(self, name, state_dict[name])
