"""What a DataModule hands to a LightningModule."""

from typing import NamedTuple

from torch import Tensor

COLOUR_AXES = ("channel", "height", "width")
SERIES_AXES = ("time", "height", "width")


class Sample(NamedTuple):
    """One measured image, or a batch of them.

    Attributes:
        measurement: what was acquired; colour: (batch, channel, height, width), float32 in [0, 1];
            dynamic MRI: k-space (batch, coil, time, height, width), complex64.
        target: the image to reconstruct; colour: as measurement; dynamic MRI: (batch, time, height, width), complex64.
        mask: True where sampled, boolean; colour: as measurement; dynamic MRI: (batch, 1, time, height, width).
        coil_sensitivities: (batch, coil, 1, height, width), complex64, or None where there are no coils.
        scale: what an image is multiplied by to return to the data's own unit, (batch,), float32.
        name: says which image it is, to people; a string each.
        origin: "measured", "synthetic", or "semi-synthetic" (real images, simulated measurement); a string each.
    """

    measurement: Tensor
    target: Tensor
    mask: Tensor
    coil_sensitivities: Tensor | None
    scale: Tensor
    name: str | list[str]
    origin: str | list[str]
