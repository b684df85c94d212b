"""The full config of a run, kept in its folder and with Weights & Biases."""

import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from lowrank_unroll import __version__
from lowrank_unroll.runs.weights_and_biases import log_run


class SaveConfig(SaveConfigCallback):
    """Keep the full config in the folder of the run, and with Weights & Biases also the command line and the version.

    Args:
        command: the words of the command line.
        arguments: see SaveConfigCallback.
    """

    def __init__(self, *arguments: Any, command: list[str], **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self.command = command

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Pass the config to Weights & Biases, which finds the commit of the working folder itself."""
        origin = {"command": shlex.join(self.command), "lowrank_unroll_version": __version__}
        log_run(trainer, pl_module, self.config.as_dict() | origin)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the folder of a run that failed before its first step, if nothing but the config is in it."""
        folder = getattr(trainer.logger, "log_dir", None)
        if not trainer.is_global_zero or folder is None or trainer.global_step > 0:
            return
        config = Path(folder, self.config_filename)
        with suppress(OSError):  # raised if there is no folder, or if there is something else in it
            if list(Path(folder).iterdir()) == [config]:
                config.unlink()
            Path(folder).rmdir()
