"""The photographs that scikit-image brings along: training and testing without a download."""

from typing import Any

from skimage import data

from datamodules.loading.data_module import Split
from datamodules.photographs.color_data_module import ColorDataModule
from datamodules.photographs.image_files import Images


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
        """The photographs of a split."""
        return sample_photos(split)


def sample_photos(split: Split) -> Images:
    """The bundled photographs of "train", "val" or "test"."""
    photos: dict[str, Any]
    if split == "train":
        motorcycle, *_ = data.stereo_motorcycle()
        photos = {
            "astronaut": data.astronaut(),
            "hubble": data.hubble_deep_field(),
            "motorcycle": motorcycle,
            "rocket": data.rocket(),
        }
    elif split == "val":
        photos = {"retina": data.retina()[300:1100, 300:1100]}  # without the black frame
    else:
        photos = {"cat": data.chelsea(), "coffee": data.coffee(), "tissue": data.immunohistochemistry()}
    return Images(list(photos.values()), list(photos))
