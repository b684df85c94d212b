"""A series of images (cine)."""

from typing import NamedTuple

from datamodules.loading.lazy_arrays import LazyArray


class Cine(NamedTuple):
    """A series of images.

    Attributes:
        frames: (time, height, width), magnitude or complex, in any unit.
        name: of the series.
        coil_sensitivities: (coil, height, width), complex; None if they are not known.
    """

    frames: LazyArray
    name: str
    coil_sensitivities: LazyArray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, height, width)."""
        return self.frames.shape
