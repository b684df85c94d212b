"""Parsing the words of commands that need no model, data or trainer."""

import argparse
from collections.abc import Iterable
from difflib import get_close_matches
from typing import NoReturn

from lowrank_unroll.errors import UsageError


class WordsParser(argparse.ArgumentParser):
    """A parser that refuses words in one line."""

    def error(self, message: str) -> NoReturn:
        """Refuse the words.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}; {self.prog} --help lists what there is")


def nearest(word: str, known: Iterable[str]) -> str:
    """A question after the nearest known word, if one is near."""
    found = get_close_matches(word, list(known), n=1)
    return f"; did you mean {found[0]}?" if found else ""
