"""Files of single reconstructions, in the formats of images and of series."""

from lowrank_unroll.predictions.formats import (
    IMAGE_WRITERS,
    OPTIONAL_PACKAGES,
    SERIES_WRITERS,
    ImageFormat,
    SeriesFormat,
    Writer,
)
from lowrank_unroll.predictions.prediction import Prediction, without_oversampling

__all__ = [
    "IMAGE_WRITERS",
    "OPTIONAL_PACKAGES",
    "SERIES_WRITERS",
    "ImageFormat",
    "Prediction",
    "SeriesFormat",
    "Writer",
    "without_oversampling",
]
