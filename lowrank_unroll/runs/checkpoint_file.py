"""Files of checkpoints: replaced as a whole, read without unpickling, and refused when they are damaged."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lowrank_unroll.errors import DataError
from lowrank_unroll.files import write_whole

LISTED = 4  # keys of a foreign file


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint that a training of this package has written.

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if it is damaged, or the checkpoint of something else; names the file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such file")
    content = _read(path)
    if not isinstance(content, dict):
        raise DataError(f"{path}: holds a {type(content).__name__}, expected a checkpoint that `fit` wrote")
    missing = {"pytorch-lightning_version", "state_dict"} - content.keys()
    if missing:
        names = ", ".join(map(str, list(content)[:LISTED])) or "nothing"
        whose = "the bare weights of a network" if _are_weights(content) else "of another program"
        raise DataError(f"{path}: is {whose} (it holds {names}), expected a checkpoint that `fit` wrote")
    for name in ("state_dict", "hyper_parameters"):
        if not isinstance(content.get(name, {}), dict):
            kind = type(content[name]).__name__
            raise DataError(f"{path}: its {name} is a {kind}, expected a checkpoint that `fit` wrote")
    for name, weight in content["state_dict"].items():
        if not (isinstance(name, str) and _is_dense(weight)):
            raise DataError(
                f"{path}: its weight {name!r} is a {type(weight).__name__}, expected names and dense tensors"
            )
    return content


def damage_to(path: Path) -> str | None:
    """Return the damage to the file of a checkpoint, in words; None if it is whole."""
    if not path.stat().st_size:
        return "is empty"
    return "is damaged or cut short" if is_damaged(path) else None


def is_damaged(path: Path) -> bool:
    """Return whether a checkpoint is cut short, or a bit in it has changed; False for files that are no zip archive.

    PyTorch writes a checksum (CRC-32) of each part of its archives, but does not check it. It compresses no part: one
    larger than the file is not by PyTorch, and may have been made to exhaust the memory.
    """
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
        try:
            with zipfile.ZipFile(file) as archive:
                size = sum(part.file_size for part in archive.infolist())
                return size > path.stat().st_size or archive.testzip() is not None
        except Exception:  # noqa: BLE001  of many unrelated classes, whichever bit has changed
            return True


class WholeCheckpointIO(TorchCheckpointIO):
    """Keep the former checkpoint until the new one is on the disk, and read none that is damaged.

    Lightning's plugin writes into the folder for temporary files and copies over the former checkpoint, which a crash
    or a full disk leaves half-written. The format is that of ``torch.save``.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint beside the former one, then rename it.

        Raises:
            OSError: if the disk is full; names the file.
        """
        if _is_remote(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        # Serialized in memory, since PyTorch's writer to a file may end the process when the disk is full.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_whole(Path(path), content.getbuffer())

    def load_checkpoint(
        self, path: str | Path, map_location: Callable[..., Any] | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            DataError: if it is damaged; names the file.
        """
        if not _is_remote(path) and is_damaged(Path(path)):
            raise DataError(f"{path}: is damaged or cut short")
        return super().load_checkpoint(path, map_location or "cpu", weights_only)  # type: ignore[arg-type]


def _read(path: Path) -> Any:
    damage = damage_to(path)
    if damage is not None:
        raise DataError(f"{path}: {damage}; take another, such as best.ckpt beside it")
    if not _begins_as_zip(path):
        raise DataError(f"{path}: is no checkpoint of PyTorch, expected one that `fit` wrote")
    if _makes_bytearrays(path):
        raise DataError(f"{path}: is of another program: it makes arrays of bytes, expected one that `fit` wrote")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises errors of many unrelated classes for what it cannot read
        if "Unsupported global" in str(error):
            raise DataError(
                f"{path}: is of another program: it holds Python objects, which are not loaded, as they can run code"
            ) from error
        raise DataError(f"{path}: is no archive of PyTorch, expected a checkpoint that `fit` wrote") from error


def _makes_bytearrays(path: Path) -> bool:
    """Return whether a pickle makes bytearrays, whose size it states without holding their bytes."""
    with zipfile.ZipFile(path) as archive:
        return any(b"bytearray\n" in archive.read(part) for part in archive.namelist() if part.endswith(".pkl"))


def _begins_as_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _is_dense(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.layout is torch.strided and not value.is_meta


def _are_weights(content: dict[Any, Any]) -> bool:
    return bool(content) and all(isinstance(value, torch.Tensor) for value in content.values())


def _is_remote(path: str | Path) -> bool:
    return "://" in str(path)
