"""Printing on a terminal, with control characters in names shown as text."""

from typing import TextIO

from rich.console import Console, RenderableType
from rich.text import Text

from lowrank_unroll.names import printable


def say(text: str, file: TextIO | None = None) -> None:
    """Print lines of text as they are.

    Args:
        text: may hold names of any characters.
        file: to print to; None for the standard output.
    """
    Console(file=file, soft_wrap=True).print(Text(printable(text)))


def show(content: RenderableType, *, log_width: int) -> None:
    """Print a table or a text of ``rich``, as wide as the terminal; in a log file of ``log_width`` characters."""
    Console(width=None if Console().is_terminal else log_width).print(content)
