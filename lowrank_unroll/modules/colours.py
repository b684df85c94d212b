"""Images of any number of channels, as they are looked at."""

from torch import Tensor

COLOURS = 3


def colours_of(image: Tensor) -> Tensor:
    """Return an image (channel, height, width) as colours (3, height, width): three channels, or the mean in grey."""
    return image if len(image) == COLOURS else image.mean(0, keepdim=True).expand(COLOURS, -1, -1)
