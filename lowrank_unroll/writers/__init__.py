"""Files of single reconstructions, in the formats of images and of series."""

from lowrank_unroll.writers.formats import (
    IMAGE_WRITERS,
    OPTIONAL_PACKAGES,
    SERIES_WRITERS,
    ImageFormat,
    SeriesFormat,
    Writer,
)
from lowrank_unroll.writers.prediction import Prediction, without_oversampling

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
