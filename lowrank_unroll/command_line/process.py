"""How the process of a training speaks and ends."""

import logging
import os
import signal
import sys
import warnings
from typing import NoReturn

from rich.console import Console


def silence_advice() -> None:
    """Hide warnings that a user of this package can do nothing about."""
    # Loading takes about one percent of a step, without worker processes.
    warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers")
    # With mixed precision weights have 32 bits all the same.
    warnings.filterwarnings("ignore", "Precision .*-mixed is not supported by the model summary")
    # Lightning 2.6 calls what torch 2.13 deprecates, and advertises its cloud.
    warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda line: "Tip:" not in line.getMessage())


def silence_advice_to_train() -> None:
    """Hide, where a network is only evaluated, which callbacks its training had."""
    warnings.filterwarnings("ignore", "Be aware that when using `ckpt_path`, callbacks used")


def exit_after_signal(stop: SystemExit) -> NoReturn:
    """Leave as shells expect it of what a signal has stopped.

    Args:
        stop: what Lightning raised; its code is that of SIGTERM unless it has one.

    Raises:
        SystemExit: always.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        sys.exit()  # in peace, or Lightning would kill the first process before it has finished
    Console(stderr=True).print("Stopped by a signal. `fit --ckpt_path last` goes on from here.")
    sys.exit(stop.code or 128 + signal.SIGTERM)
