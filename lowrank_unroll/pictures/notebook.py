"""Pictures that a notebook shows when they are the last line of a cell."""

from base64 import b64encode
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from matplotlib.figure import Figure

from lowrank_unroll.files import write_whole


class Picture(Figure):
    """A figure of matplotlib that needs no pyplot to be shown; ``savefig`` writes it."""

    def _repr_html_(self) -> str:
        encoded = BytesIO()
        self.savefig(encoded, format="png", dpi=100)
        return _embedded("png", encoded.getvalue())


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
        return _embedded("gif", self.gif)


def _embedded(kind: str, encoded: bytes) -> str:
    return f'<img src="data:image/{kind};base64,{b64encode(encoded).decode()}">'
