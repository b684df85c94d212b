"""The newest checkpoint of all runs of one name, and what killed runs left unfinished."""

from pathlib import Path

from lightning.pytorch import Trainer

from lowrank_unroll.errors import DataError
from lowrank_unroll.files import remove_leftovers
from lowrank_unroll.runs.checkpoint_file import damage_to


def newest_checkpoint(trainer: Trainer, name: str) -> Path:
    """Return the newest checkpoint "best" or "last" of the runs that the trainer's logger has logged under one name.

    Raises:
        DataError: if there is none, or it is damaged; names the newest whole one that can be used instead.
    """
    runs, pattern = _folder_and_pattern(trainer)
    found = _newest_first(runs, pattern.format(f"{name}.ckpt"))
    if not found:
        raise DataError(f"No trained weights under {runs}: run fit with this config first, or pass --ckpt_path FILE")
    damage = damage_to(found[0])
    if damage is None:
        return found[0]
    others = (path for path in _newest_first(runs, pattern.format("*.ckpt")) if damage_to(path) is None)
    other = next(others, None)
    advice = "there is no other" if other is None else f"the newest whole one is --ckpt_path {other}"
    raise DataError(f"{found[0]}: {damage}; {advice}")


def remove_unfinished(trainer: Trainer) -> None:
    """Remove the half-written checkpoints of killed runs of the same name."""
    runs, pattern = _folder_and_pattern(trainer)
    for hidden in runs.glob(pattern.format(".*-????????.ckpt")):
        remove_leftovers(hidden.with_name(f"{hidden.stem[1:].rpartition('-')[0]}.ckpt"))


def _folder_and_pattern(trainer: Trainer) -> tuple[Path, str]:
    """Return the folder of all runs of the same name, and the pattern of checkpoints in it, {} for the file name."""
    chosen_folder = getattr(trainer.checkpoint_callback, "dirpath", None)
    if chosen_folder is not None:
        return Path(chosen_folder), "{}"
    if trainer.logger is not None and trainer.logger.save_dir is not None:
        return Path(trainer.logger.save_dir) / str(trainer.logger.name), "*/checkpoints/{}"
    return Path(trainer.default_root_dir), "checkpoints/{}"


def _newest_first(runs: Path, pattern: str) -> list[Path]:
    files = [path for path in runs.glob(pattern) if not path.name.startswith(".")]  # one that is being written
    return sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)
