"""Checkpoint files: replaced as a whole, and noticed when they are damaged."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from lowrank_unroll.errors import DataError
from lowrank_unroll.files import write_whole
from lowrank_unroll.runs.checkpoint_file import is_damaged


class WholeCheckpointIO(TorchCheckpointIO):
    """Keep the former checkpoint until the new one is on the disk, and read none that is damaged.

    Lightning's own writes in the folder for temporary files and copies over the former one, which a crash or a full
    disk leaves half-written. The file is that of ``torch.save``.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint beside the former one, then rename it.

        Raises:
            OSError: if the disk is full; names the file.
        """
        if _is_remote(path):
            super().save_checkpoint(checkpoint, path, storage_options)
            return
        # In memory first, since PyTorch's writer to a file may end the process when the disk is full.
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


def _is_remote(path: str | Path) -> bool:
    return "://" in str(path)
