"""Reconstruction of one sample, as ``predict`` hands it to the writers of files."""

from typing import NamedTuple

from torch import Tensor

from lowrank_unroll.pictures import Panel
from lowrank_unroll.sample import Geometry


class Prediction(NamedTuple):
    """One reconstruction, its sample and its origin.

    Attributes:
        values: image (channel, height, width), float32, or series (time, height, width), complex64 or float32, in the
            unit of the data; for pictures, colors (3, height, width), black 0 and white 255.
        name: of the sample.
        origin: of the sample, see :class:`lowrank_unroll.sample.Sample`.
        scale: factor from the output of the network to the values.
        checkpoint: path of the weights; empty if none were loaded.
        mask: of the sample, without the dim of the batch; None if it is not given.
        coil_sensitivities: of the sample, without the dim of the batch; None where there are none.
        geometry: of the sample; None where it is not known.
        start: the image that the network starts from, or the zero-filled image; as values. None if it is not given.
        start_name: its title.
        target: of the sample, as values; None where it is not known.
        psnr: of the values, dB; None where it is not known.
        panel: row of pictures; None if none is to be drawn.
    """

    values: Tensor
    name: str
    origin: str
    scale: float
    checkpoint: str
    mask: Tensor | None = None
    coil_sensitivities: Tensor | None = None
    geometry: Geometry | None = None
    start: Tensor | None = None
    start_name: str = "zero-filled"
    target: Tensor | None = None
    psnr: float | None = None
    panel: Panel | None = None


def crop_to_field_of_view(prediction: Prediction) -> Prediction:
    """Return a prediction without the pixels beyond the field of view along its width, if that is known."""
    if prediction.geometry is None:
        return prediction
    width, shown = prediction.values.shape[-1], int(prediction.geometry.width)
    first = width // 2 - shown // 2
    images = {name: getattr(prediction, name) for name in ("values", "coil_sensitivities", "start", "target")}
    return prediction._replace(
        **{name: image[..., first : first + shown] for name, image in images.items() if image is not None}
    )
