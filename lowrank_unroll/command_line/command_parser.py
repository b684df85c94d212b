"""The parser of commands that need no model, data or trainer."""

import argparse
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NoReturn

from lowrank_unroll.errors import UsageError


class CommandParser(argparse.ArgumentParser):
    """An argument parser that raises its errors instead of printing the usage and exiting."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}; see {self.prog} --help")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``; did you mean ...?`` with the most similar known name; "" if none is similar."""
    matches = get_close_matches(name, list(known), n=1)
    return f"; did you mean {matches[0]}?" if matches else ""
