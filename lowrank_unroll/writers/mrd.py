"""Series of images as ISMRMRD images."""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lowrank_unroll.files import write_whole
from lowrank_unroll.sample import TICK, Geometry
from lowrank_unroll.writers.prediction import Prediction

GROUP = "images"


def write_mrd(prediction: Prediction, path: Path) -> None:
    """Write a complex series as ISMRMRD images, a frame each: phases with place, field of view and time, if known.

    Along x is the readout, the height of the series, and along y the phase encoding, its width.
    """
    import ismrmrd  # noqa: PLC0415  optional

    encoded = io.BytesIO()  # HDF5 itself answers a full disk with errors of several kinds
    with ismrmrd.Dataset(encoded, GROUP, mode="w") as dataset:
        for number, frame in enumerate(prediction.values.numpy()):
            image = ismrmrd.Image.from_array(np.ascontiguousarray(frame.T)[None, None])
            image.image_type, image.image_index, image.phase = ismrmrd.IMTYPE_COMPLEX, number + 1, number
            if prediction.geometry is not None:
                _place(image, prediction.geometry, number, frame.shape)
            dataset.append_image("image_0", image)
    write_whole(path, encoded.getbuffer())


def _place(image: Any, geometry: Geometry, number: int, size: Sequence[int]) -> None:
    time = float(geometry.times[number])
    if math.isfinite(time):
        image.physiology_time_stamp = (round(time / TICK), 0, 0)
    if not geometry.is_placed:
        return
    image.position = tuple(geometry.centre.tolist())
    image.read_dir, image.phase_dir, image.slice_dir = (tuple(one) for one in geometry.directions.tolist())
    image.field_of_view = tuple(
        pixels * side for pixels, side in zip((*size, 1), geometry.spacing.tolist(), strict=True)
    )
