"""What Weights & Biases learns about a run besides its metrics, and whether it can be reached."""

from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.model_summary.model_summary import ModelSummary

from lowrank_unroll.runs.logged_media import log_table

SECONDS = 5.0


def reason_to_log_offline() -> str | None:
    """Why a run cannot be logged online; None if it can.

    Weights & Biases itself would ask for a login, or retry for two minutes and then end the training.
    """
    import wandb  # noqa: PLC0415  takes a second to import

    if not wandb.login(prompt=False, verify=False):
        return "Nobody is logged in to Weights & Biases"
    server = wandb.setup().settings.base_url
    return None if _answers(server) else f"Weights & Biases does not answer at {server}"


def log_run(trainer: Trainer, module: LightningModule, config: dict[str, Any]) -> None:
    """Keep a config, and the size and parts of the network, with Weights & Biases, if the run is logged to it."""
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
        requests.head(server, timeout=SECONDS)
    except requests.exceptions.SSLError:
        return True  # with a certificate that wandb may know
    except requests.RequestException:
        return False
    return True
