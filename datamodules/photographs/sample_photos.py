"""The photographs in scikit-image: training and testing without a download."""

from pathlib import Path
from typing import Any

import numpy as np
import skimage
from PIL import Image

from datamodules.loading.data_module import Split
from datamodules.photographs.color_data_module import ColorDataModule
from datamodules.photographs.colours import Pixels
from datamodules.photographs.image_files import Images

# The files are read directly, since the functions of scikit-image make a cache in the home folder, which may not exist.
FOLDER = Path(skimage.__file__).parent / "data"
PHOTOS: dict[Split, dict[str, str]] = {
    "train": {
        "astronaut": "astronaut.png",
        "hubble": "hubble_deep_field.jpg",
        "motorcycle": "motorcycle_left.png",
        "rocket": "rocket.jpg",
    },
    "val": {"retina": "retina.jpg"},
    "test": {"cat": "chelsea.png", "coffee": "coffee.png", "tissue": "ihc.png"},
}


class SamplePhotos(ColorDataModule):
    """Random patches of scikit-image's bundled colour photographs; training, validation and test photographs differ.

    Args:
        patches_per_image: patches of each photograph in an epoch of training.
        kwargs: see :class:`ColorDataModule`.
    """

    val_patches_per_image = 128

    def __init__(self, patches_per_image: int = 768, **kwargs: Any) -> None:
        super().__init__(patches_per_image=patches_per_image, **kwargs)

    def images(self, split: Split) -> Images:
        """Return the photographs of a split."""
        return sample_photos(split)


def sample_photos(split: Split) -> Images:
    """Return the bundled photographs of "train", "val" or "test"."""
    photos = {name: _read(FOLDER / file) for name, file in PHOTOS[split].items()}
    if split == "val":
        photos["retina"] = photos["retina"][300:1100, 300:1100]  # without the black frame
    return Images(list(photos.values()), list(photos))


def _read(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
