"""What users can mend is told in a few words; what is our own fault keeps its traceback."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from lowrank_unroll.errors import DIVERGED, DataError, NonFiniteGradientError, UsageError
from lowrank_unroll.names import printable

USAGE, DATA = 2, 1  # exit codes
EXIT_CODES: dict[type[Exception], int] = {
    UsageError: USAGE,
    DataError: DATA,
    OSError: DATA,  # missing files, full disks, permissions
    ModuleNotFoundError: DATA,
    NonFiniteGradientError: DIVERGED,
}
DEBUG = "LOWRANK_UNROLL_DEBUG"
LONGEST = 600  # characters


@contextmanager
def told_in_few_words() -> Iterator[None]:
    """End the process with a short message and an exit code if a mistake of the user's stops it.

    The word ``--debug``, or the environment variable LOWRANK_UNROLL_DEBUG, keeps the traceback.

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
        if os.environ.get(DEBUG) or _is_our_fault(error):
            raise
        sys.stderr.write(f"lowrank-unroll: {in_few_words(error)}\n")
        sys.exit(next(code for kind, code in EXIT_CODES.items() if isinstance(error, kind)))


@contextmanager
def printable_messages() -> Iterator[None]:
    """Show as text what warnings and log lines repeat of names and of other programs."""
    usual_format, usual_handler = warnings.formatwarning, logging.lastResort
    warnings.formatwarning = lambda *about: printable(usual_format(*about))
    logging.lastResort = logging.StreamHandler()  # of all loggers that have none of their own
    logging.lastResort.setLevel(logging.WARNING)
    logging.lastResort.setFormatter(_PrintableFormatter())
    try:
        yield
    finally:
        warnings.formatwarning, logging.lastResort = usual_format, usual_handler


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def in_few_words(error: Exception) -> str:
    """The message of an error as text, without the traceback that a DataLoader's worker puts before it."""
    told = printable(re.split(r"\n(?:\w+\.)*" + type(error).__name__ + ": ", str(error))[-1].strip())
    return told if len(told) <= LONGEST else f"{told[:LONGEST]} ..."


def _is_our_fault(error: Exception) -> bool:
    """Whether it is a module of ours that is missing, and not one that a message of ours asks for."""
    return isinstance(error, ModuleNotFoundError) and error.name is not None
