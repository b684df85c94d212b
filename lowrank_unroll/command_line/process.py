"""Settings of a process of the trainer: memory that it keeps, warnings that it hides, its exit after a signal."""

import ctypes
import logging
import os
import signal
import sys
import warnings
from typing import NoReturn

from rich.console import Console

# Parameters of mallopt, from glibc's malloc.h.
TRIM_THRESHOLD, MMAP_MAX = -1, -4
MOST_AT_TOP = 2**31 - 1  # bytes that stay free above the last block in use
SETTINGS_OF_THE_USER = ("MALLOC_MMAP_", "MALLOC_TRIM_", "MALLOC_TOP_PAD_")


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for later tensors, instead of returning it to the system.

    It returns each block above 32 MB at once, and Linux fills the pages of the next one with zeros. That took up to two
    thirds of the time, see docs/scaling.md. Settings of the user in the environment are obeyed.
    """
    has_settings = any(name.startswith(SETTINGS_OF_THE_USER) for name in os.environ)
    if sys.platform != "linux" or has_settings or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return
    library = ctypes.CDLL(None)
    if hasattr(library, "gnu_get_libc_version"):
        library.mallopt(MMAP_MAX, 0)
        library.mallopt(TRIM_THRESHOLD, MOST_AT_TOP)


def hide_warnings(*, training: bool) -> None:
    """Hide warnings that a user of this package cannot act on.

    Args:
        training: whether the command trains; if not, warnings about the callbacks of the training are hidden, too.
    """
    # Loading takes about one percent of a step, without worker processes.
    warnings.filterwarnings("ignore", "The '.*_dataloader' does not have many workers")
    # With mixed precision, weights have 32 bits all the same.
    warnings.filterwarnings("ignore", "Precision .*-mixed is not supported by the model summary")
    # Lightning 2.6 calls what torch 2.13 deprecates, and advertises its cloud.
    warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated")
    logging.getLogger("lightning.pytorch.utilities.rank_zero").addFilter(lambda line: "Tip:" not in line.getMessage())
    if not training:
        warnings.filterwarnings("ignore", "Be aware that when using `ckpt_path`, callbacks used")


def exit_after_signal(stop: SystemExit) -> NoReturn:
    """Exit with the code that shells expect of a process that a signal has stopped.

    Args:
        stop: what Lightning raised; its code is that of SIGTERM unless it has one.

    Raises:
        SystemExit: always.
    """
    if os.environ.get("LOCAL_RANK", "0") != "0":
        sys.exit()  # with code 0: at another one, Lightning would kill the first process before it has finished
    Console(stderr=True).print("Stopped by a signal. `fit --ckpt_path last` goes on from here.")
    sys.exit(stop.code or 128 + signal.SIGTERM)
