"""The folder of a run: inside that of the logger, and of no other run."""

from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePath

from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only

from lowrank_unroll.errors import UsageError

NUMBERED = (CSVLogger, TensorBoardLogger)  # the loggers that number the folders of runs


def run_folder(trainer: Trainer) -> Path:
    """Return the folder of a run; every process must call this, since the first tells the others."""
    return Path(trainer.log_dir or trainer.default_root_dir)


def check_names(logger: Logger) -> None:
    """Check that a run stays in the folder of its logger.

    Raises:
        UsageError: if the name or the version leads out of it.
    """
    for argument, value in (("name", logger.name), ("version", getattr(logger, "_version", None))):
        path = PurePath(str(value or ""))
        if path.is_absolute() or ".." in path.parts:
            raise UsageError(f"--trainer.logger.init_args.{argument} {value}: leaves the folder {logger.save_dir}")


def claim_folder(logger: Logger) -> None:
    """Let a logger that numbers its runs create the folder of the next free number, which no other run can take then.

    The folder is created when the first process of the run needs it; that process tells the others.
    """
    if isinstance(logger, NUMBERED) and "://" not in str(logger.save_dir):
        logger._get_next_version = partial(_claim, logger, logger._get_next_version)  # type: ignore[method-assign]  # noqa: SLF001


def _claim(logger: CSVLogger | TensorBoardLogger, next_version: Callable[[], int]) -> int:
    """Create the folder of the next free number, and return the number."""
    version = next_version()
    while rank_zero_only.rank == 0:  # type: ignore[attr-defined]
        logger._version = version  # noqa: SLF001  log_dir is named by it
        try:
            Path(logger.log_dir).mkdir(parents=True)
        except FileExistsError:
            version += 1
        else:
            break
    return version
