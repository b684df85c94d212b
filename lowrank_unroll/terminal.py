"""What is told on a terminal, in which names are text and no commands to it."""

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
