"""Weights & Biases: what it keeps of a run besides metrics, and logging offline where it cannot be reached."""

import os
from pathlib import Path
from typing import Any

from jsonargparse import Namespace
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary

from lowrank_unroll.runs.loggers import log_table
from lowrank_unroll.terminal import say

TIMEOUT = 5.0  # seconds


def log_offline_where_needed(loggers: object) -> None:
    """Let Weights & Biases log offline where it would ask for a login or wait for a network.

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


def reason_to_log_offline() -> str | None:
    """Return why a run cannot be logged online; None if it can.

    Weights & Biases itself would ask for a login, or retry for two minutes and then end the training.
    """
    import wandb  # noqa: PLC0415  takes a second to import

    if not wandb.login(prompt=False, verify=False):
        return "Nobody is logged in to Weights & Biases"
    server = wandb.setup().settings.base_url
    return None if _answers(server) else f"Weights & Biases does not answer at {server}"


def log_run(trainer: Trainer, module: LightningModule, config: dict[str, Any]) -> None:
    """Send a config, and the size and parts of the network, to Weights & Biases, if the run is logged to it."""
    loggers = [logger for logger in trainer.loggers if isinstance(logger, WandbLogger)]
    if not loggers:
        return
    summary = ModelSummary(module, max_depth=3)
    sizes = {"parameters": summary.total_parameters, "trainable_parameters": summary.trainable_parameters}
    for logger in loggers:
        logger.log_hyperparams({**config, **sizes})
    rows = zip(summary.layer_names, summary.layer_types, summary.param_nums, strict=True)
    log_table(trainer, "model", ["layer", "type", "parameters"], list(rows))


def _answers(server: str) -> bool:
    import requests  # noqa: PLC0415  only where there is a server to ask

    try:
        requests.head(server, timeout=TIMEOUT)
    except requests.exceptions.SSLError:
        return True  # wandb may know the certificate
    except requests.RequestException:
        return False
    return True
