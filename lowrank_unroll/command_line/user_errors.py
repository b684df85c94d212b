"""Short messages and exit codes for the errors that users can fix; defects of the program keep their traceback."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lowrank_unroll.errors import DIVERGED, DataError, NonFiniteGradientError, UsageError
from lowrank_unroll.names import printable

USAGE, DATA = 2, 1
EXIT_CODES: dict[type[Exception], int] = {
    UsageError: USAGE,
    DataError: DATA,
    OSError: DATA,  # missing files, full disks, permissions
    ModuleNotFoundError: DATA,
    NonFiniteGradientError: DIVERGED,
}
DEBUG = "LOWRANK_UNROLL_DEBUG"
MAX_LENGTH = 600  # characters


@contextmanager
def report_user_errors() -> Iterator[None]:
    """Turn the errors that users can fix into a short message and an exit code.

    The argument ``--debug``, or the environment variable LOWRANK_UNROLL_DEBUG, keeps the traceback.

    Raises:
        SystemExit: with code 2 for wrong usage, 1 for data that cannot be used, 3 for a gradient that is not finite.
    """
    if "--debug" in sys.argv:
        sys.argv.remove("--debug")
        os.environ[DEBUG] = "1"  # also for the processes that this one starts
    try:
        with printable_messages():
            yield
    except tuple(EXIT_CODES) as error:
        if os.environ.get(DEBUG) or _is_defect(error):
            raise
        sys.stderr.write(f"lowrank-unroll: {short_message(error)}\n")
        sys.exit(next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))


@contextmanager
def printable_messages() -> Iterator[None]:
    """Escape control characters in warnings and log lines, which may repeat file names and output of other programs."""
    original_format, original_handler = warnings.formatwarning, logging.lastResort
    warnings.formatwarning = lambda *arguments: printable(original_format(*arguments))
    logging.lastResort = logging.StreamHandler()  # serves all loggers without a handler of their own
    logging.lastResort.setLevel(logging.WARNING)
    logging.lastResort.setFormatter(_PrintableFormatter())
    try:
        yield
    finally:
        warnings.formatwarning, logging.lastResort = original_format, original_handler


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def short_message(error: Exception) -> str:
    """Return the message of an error without the traceback that a DataLoader's worker puts before it."""
    message = printable(re.split(r"\n(?:\w+\.)*" + type(error).__name__ + ": ", str(error))[-1].strip())
    return message if len(message) <= MAX_LENGTH else f"{message[:MAX_LENGTH]} ..."


def _is_defect(error: Exception) -> bool:
    """Return whether Python failed to import a module; our own messages about missing packages carry no name."""
    return isinstance(error, ModuleNotFoundError) and error.name is not None
