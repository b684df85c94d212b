"""What a DataModule hands to a LightningModule."""

from typing import NamedTuple

from torch import Tensor

COLOUR_AXES = ("channel", "height", "width")
SERIES_AXES = ("time", "height", "width")
TICK = 2.5  # ms of a time stamp in ISMRMRD files


class Geometry(NamedTuple):
    """Where the pixels of a series lie, and when its frames were measured; in a batch each has its dim first.

    Coordinates are those of the patient as in DICOM, in mm: x grows to the left, y to the back, z to the head.

    Attributes:
        centre: of the pixel (height // 2, width // 2), (3,), float32.
        directions: unit vectors along the height, along the width, and across the slice, (3, 3), float32.
        spacing: of pixels along the height and the width, and the thickness of the slice, (3,), float32, mm.
        times: of the frames after the heart's trigger or the first of them, (time,), float32, ms; NaN if unknown.
        width: how many pixels along the width, around the centre, are to be shown, (), int64; beyond is oversampling.
    """

    centre: Tensor
    directions: Tensor
    spacing: Tensor
    times: Tensor
    width: Tensor


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
        geometry: of a series from a scanner; None where it is not known.
    """

    measurement: Tensor
    target: Tensor
    mask: Tensor
    coil_sensitivities: Tensor | None
    scale: Tensor
    name: str | list[str]
    origin: str | list[str]
    geometry: Geometry | None = None
