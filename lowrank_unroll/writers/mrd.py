"""Series of images as ISMRMRD images."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ismrmrd
import numpy as np

from lowrank_unroll.files import written_from_memory
from lowrank_unroll.sample import TICK, Geometry
from lowrank_unroll.writers.prediction import Prediction

GROUP = "images"


def write(prediction: Prediction, path: Path) -> None:
    """Write a complex series as ISMRMRD images, one per frame, with position, field of view and time if known.

    The readout, the height of the series, is along x, and the phase encoding, its width, along y.
    """
    with written_from_memory(path) as file, ismrmrd.Dataset(file, GROUP, mode="w") as dataset:
        for number, frame in enumerate(prediction.values.numpy()):
            image = ismrmrd.Image.from_array(np.ascontiguousarray(frame.T)[None, None])
            image.image_type, image.image_index, image.phase = ismrmrd.IMTYPE_COMPLEX, number + 1, number
            if prediction.geometry is not None:
                _set_position(image, prediction.geometry, number, frame.shape)
            dataset.append_image("image_0", image)


def _set_position(image: Any, geometry: Geometry, number: int, size: Sequence[int]) -> None:
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
