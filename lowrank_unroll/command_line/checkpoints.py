"""Which checkpoint a command uses, and whether it is whole and one of ours."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer

from lowrank_unroll.errors import DataError

LISTED = 4  # keys of a foreign file


def newest_checkpoint(trainer: Trainer, name: str) -> Path:
    """The newest checkpoint "best" or "last" of the runs that the trainer's logger has logged under the same name.

    Raises:
        DataError: if there is none.
    """
    chosen_folder = getattr(trainer.checkpoint_callback, "dirpath", None)
    if chosen_folder is not None:
        runs, pattern = Path(chosen_folder), f"{name}.ckpt"
    elif trainer.logger is not None and trainer.logger.save_dir is not None:
        runs, pattern = Path(trainer.logger.save_dir) / str(trainer.logger.name), f"*/checkpoints/{name}.ckpt"
    else:
        runs, pattern = Path(trainer.default_root_dir), f"checkpoints/{name}.ckpt"
    checkpoints = sorted(runs.glob(pattern), key=lambda path: path.stat().st_mtime)
    if not checkpoints:
        raise DataError(f"No trained weights under {runs}: run fit with this config first, or pass --ckpt_path FILE")
    return checkpoints[-1]


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


def _read(path: Path) -> Any:
    if not path.stat().st_size:
        raise DataError(f"{path}: is empty; give another --ckpt_path, such as best.ckpt beside it")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many unrelated classes for what it cannot read
        if not _begins_as_zip(path):
            raise DataError(f"{path}: is no checkpoint of PyTorch, expected one that `fit` wrote") from error
        if "Unsupported global" in str(error):
            raise DataError(
                f"{path}: is of another program: it holds Python objects, which are not loaded, as they can run code"
            ) from error
        raise DataError(
            f"{path}: is damaged or cut short; give another --ckpt_path, such as best.ckpt beside it"
        ) from error


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _are_weights(content: dict[Any, Any]) -> bool:
    return bool(content) and all(isinstance(value, torch.Tensor) for value in content.values())
