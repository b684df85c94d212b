"""A series of images (cine)."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt


class Frames(Protocol):
    """Frames (time, height, width) that are read by indexing; arrays of NumPy and datasets of h5py are such."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, height, width)."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of every window."""

    def __getitem__(self, window: Any, /) -> npt.NDArray[Any]:
        """Read a window, the first index of which is time."""


class Cine(NamedTuple):
    """A series of images (time, height, width), magnitude or complex, in the units of its file; what to call it.

    The sensitivities of the coils that measured it, (coil, height, width), where they are known.
    """

    frames: Frames
    name: str
    coil_sensitivities: Frames | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """(time, height, width)."""
        return self.frames.shape
