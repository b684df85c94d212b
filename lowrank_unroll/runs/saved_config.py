"""What a run leaves behind besides its results: its full config, in its folder and with Weights & Biases."""

import os
import shlex
from contextlib import suppress
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.cli import SaveConfigCallback

from lowrank_unroll import __version__
from lowrank_unroll.runs.weights_and_biases import log_run, reason_to_log_offline
from lowrank_unroll.terminal import say


class SaveConfig(SaveConfigCallback):
    """Keep the full config in the folder of the run, and with Weights & Biases also the command line and the version.

    Args:
        command: the words of the command line as they were given.
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
        """Leave no folder of a run that ended before it began: there is nothing in it, or the config alone."""
        folder = getattr(trainer.logger, "log_dir", None)
        if not trainer.is_global_zero or folder is None or trainer.global_step > 0:
            return
        config = Path(folder, self.config_filename)
        with suppress(OSError):  # as it is raised where there is none, or something else in it
            if list(Path(folder).iterdir()) == [config]:
                config.unlink()
            Path(folder).rmdir()


def log_offline_where_needed(loggers: object) -> None:
    """Keep Weights & Biases from asking for a login, and from waiting for a network.

    Args:
        loggers: the config of the trainer's loggers; those of Weights & Biases are set to log offline.
    """
    wandb_loggers = [
        logger
        for logger in (loggers if isinstance(loggers, list) else [loggers])
        if isinstance(logger, Namespace) and logger.class_path.endswith("WandbLogger")
    ]
    for logger in wandb_loggers:  # wandb warns if its folder is missing
        Path(logger.init_args.save_dir or ".").mkdir(parents=True, exist_ok=True)
    if not wandb_loggers or "WANDB_MODE" in os.environ:
        return
    reason = reason_to_log_offline()
    if reason is not None:
        for logger in wandb_loggers:
            logger.init_args.mode = "offline"
        say(f"{reason}: logging offline. `wandb sync` uploads it later.")
