"""Printing on a terminal, with control characters in names shown as text."""

from typing import TextIO

from rich.console import Console
from rich.text import Text

from lowrank_unroll.names import printable


def say(text: str, file: TextIO | None = None) -> None:
    """Print some lines as they are.

    Args:
        text: may hold names of any characters.
        file: where to; None for the standard output.
    """
    Console(file=file, soft_wrap=True).print(Text(printable(text)))
