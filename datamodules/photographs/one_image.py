"""One image measured, for a notebook."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.photographs.image_files import Images, pixels_of, read_images
from datamodules.photographs.masked_images import MaskedImages
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Sample


def measure_image(
    image: str | Path | npt.ArrayLike,
    ratio: float = 0.4,
    *,
    per_channel: bool = True,
    mask: npt.ArrayLike | None = None,
    seed: int = 0,
) -> Sample:
    """Measure a random subset of the values of a colour image, or those of a mask, as the colour DataModules do.

    Args:
        image: a file of one image; or an array (height, width[, 3]), whole numbers from 0 to 255 or floating-point ones
            from 0 to 1, of which 8 bits are kept.
        ratio: share of the values that is measured, in (0, 1].
        per_channel: True measures each channel by a mask of its own; False the same pixels in all channels.
        mask: measure where this one, (height, width[, 3]), is not zero, instead of a random share.
        seed: of the random mask.

    Returns:
        The sample without a batch dim; its images are (3, height, width), float32 in [0, 1].

    Raises:
        FileNotFoundError: if there is no such file.
        DataError: if the file cannot be read as an image; names it.
        UsageError: if the file holds several images.
        ValueError: if the ratio is no share, the array no image, or the mask of another size.
    """
    check_at_least(0, seed=seed)
    images = _images(image)
    size = images.pixels[0].shape[:2]
    known = None if mask is None else np.asarray(mask) != 0
    if known is not None and (known.shape[:2] != size or known.shape[2:] not in {(), (3,)}):
        raise ValueError(f"mask is {known.shape}, expected the image's (height, width[, 3]), which is {size}")
    return MaskedImages(images, ratio, seed, mask=known, per_channel=per_channel)[0]


def _images(image: str | Path | npt.ArrayLike) -> Images:
    if not isinstance(image, str | Path):
        return Images([pixels_of(image)], ["image"])
    found = read_images(Path(image))
    if len(found.pixels) != 1:
        raise UsageError(f"{image}: holds {len(found.pixels)} images, expected one; datamodules.ImageFolder takes many")
    return found
