"""Pictures that a notebook shows when they are the last line of a cell."""

from dataclasses import dataclass, field
from pathlib import Path

from matplotlib.figure import Figure

from lowrank_unroll.files import write_whole
from lowrank_unroll.pictures.encoding import data_uri, encode_figure


class Picture(Figure):
    """A figure of matplotlib that needs no pyplot to be shown; ``savefig`` writes it."""

    def _repr_html_(self) -> str:
        return f'<img src="{data_uri("image/png", encode_figure(self, dpi=100))}">'


@dataclass(frozen=True)
class Movie:
    """A moving picture.

    Attributes:
        gif: the content of the file, an animated GIF that repeats.
    """

    gif: bytes = field(repr=False)

    def save(self, path: str | Path) -> None:
        """Write the file; its name should end in .gif.

        Raises:
            OSError: if it cannot be written; names it.
        """
        write_whole(Path(path), self.gif)

    def _repr_html_(self) -> str:
        return f'<img src="{data_uri("image/gif", self.gif)}">'
