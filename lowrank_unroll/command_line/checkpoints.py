"""Which checkpoint a command uses, and whether it is whole and one of ours."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from lowrank_unroll.command_line.checkpoint_io import is_damaged
from lowrank_unroll.errors import DataError
from lowrank_unroll.files import remove_leftovers

LISTED = 4  # keys of a foreign file


def newest_checkpoint(trainer: Trainer, name: str) -> Path:
    """The newest checkpoint "best" or "last" of the runs that the trainer's logger has logged under the same name.

    Raises:
        DataError: if there is none, or it is damaged; names the newest whole one that can be used instead.
    """
    runs, pattern = _place_of_checkpoints(trainer)
    found = _newest_first(runs, pattern.format(f"{name}.ckpt"))
    if not found:
        raise DataError(f"No trained weights under {runs}: run fit with this config first, or pass --ckpt_path FILE")
    damage = _damage(found[0])
    if damage is None:
        return found[0]
    others = (path for path in _newest_first(runs, pattern.format("*.ckpt")) if _damage(path) is None)
    other = next(others, None)
    advice = "there is no other" if other is None else f"the newest whole one is --ckpt_path {other}"
    raise DataError(f"{found[0]}: {damage}; {advice}")


def remove_unfinished(trainer: Trainer) -> None:
    """Remove what killed runs of the same name left of checkpoints that they were writing."""
    runs, place = _place_of_checkpoints(trainer)
    for hidden in runs.glob(place.format(".*-????????.ckpt")):
        remove_leftovers(hidden.with_name(f"{hidden.stem[1:].rpartition('-')[0]}.ckpt"))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what a training here has written.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if it is damaged, or the checkpoint of something else; names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"--ckpt_path {path}: there is no such file")
    content = _read(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected a checkpoint that `fit` wrote")
    missing = {"pytorch-lightning_version", "state_dict"} - content.keys()
    if missing:
        names = ", ".join(map(str, list(content)[:LISTED])) or "nothing"
        whose = "the bare weights of a network" if _are_weights(content) else "of another program"
        raise DataError(f"{path}: is {whose} (it holds {names}), expected a checkpoint that `fit` wrote")
    return content


def _place_of_checkpoints(trainer: Trainer) -> tuple[Path, str]:
    """The folder of all runs of the same name, and where in it a checkpoint lies: {} stands for its name."""
    chosen_folder = getattr(trainer.checkpoint_callback, "dirpath", None)
    if chosen_folder is not None:
        return Path(chosen_folder), "{}"
    if trainer.logger is not None and trainer.logger.save_dir is not None:
        return Path(trainer.logger.save_dir) / str(trainer.logger.name), "*/checkpoints/{}"
    return Path(trainer.default_root_dir), "checkpoints/{}"


def _newest_first(runs: Path, pattern: str) -> list[Path]:
    files = [path for path in runs.glob(pattern) if not path.name.startswith(".")]  # as those being written do
    return sorted(files, key=lambda path: path.stat().st_mtime, reverse=True)


def _read(path: Path) -> Any:
    damage = _damage(path)
    if damage is not None:
        raise DataError(f"{path}: {damage}; give another --ckpt_path, such as best.ckpt beside it")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many unrelated classes for what it cannot read
        if not _begins_as_zip(path):
            raise DataError(f"{path}: is no checkpoint of PyTorch, expected one that `fit` wrote") from error
        if "Unsupported global" in str(error):
            raise DataError(
                f"{path}: is of another program: it holds Python objects, which are not loaded, as they can run code"
            ) from error
        raise DataError(f"{path}: is no archive of PyTorch, expected a checkpoint that `fit` wrote") from error


def _damage(path: Path) -> str | None:
    """What has happened to a file; None if nothing has."""
    if not path.stat().st_size:
        return "is empty"
    return "is damaged or cut short" if is_damaged(path) else None


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _are_weights(content: dict[Any, Any]) -> bool:
    return bool(content) and all(isinstance(value, torch.Tensor) for value in content.values())
