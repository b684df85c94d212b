"""Files of single reconstructions, in the formats of images and of series."""

from lowrank_unroll.deprecation import moved_names
from lowrank_unroll.writers.formats import (
    IMAGE_WRITERS,
    OPTIONAL_PACKAGES,
    SERIES_WRITERS,
    ImageFormat,
    SeriesFormat,
    Writer,
)
from lowrank_unroll.writers.prediction import Prediction, crop_to_field_of_view

__all__ = [
    "IMAGE_WRITERS",
    "OPTIONAL_PACKAGES",
    "SERIES_WRITERS",
    "ImageFormat",
    "Prediction",
    "SeriesFormat",
    "Writer",
    "crop_to_field_of_view",
]

__getattr__ = moved_names(__name__, {"without_oversampling": f"{__name__}:crop_to_field_of_view"})
