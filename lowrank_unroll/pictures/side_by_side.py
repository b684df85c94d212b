"""Images in their own pixels beside each other."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lowrank_unroll.pictures.encoding import encode_image

NARROWEST, WIDEST = 256, 1024  # pixels of a column
GAP = 8
LETTER = 1 / 18  # height of the letters of titles, as a fraction of the width of a column


def side_by_side(images: Mapping[str, Tensor]) -> bytes:
    """Draw images, (3, height, width) of one size, black 0 and white 1, in a row under their titles, as a PNG.

    Small images are enlarged to squares of pixels that can be seen, those of more than a thousand pixels are reduced.
    """
    columns = [_column(image) for image in images.values()]
    width, height = columns[0].size
    font = ImageFont.load_default(LETTER * width)
    above = round(2 * LETTER * width)
    page = Image.new("RGB", (len(columns) * (width + GAP) - GAP, above + height), "white")
    draw = ImageDraw.Draw(page)
    for number, (title, column) in enumerate(zip(images, columns, strict=True)):
        left = number * (width + GAP)
        draw.text((left + width / 2, above / 2), title, fill="black", font=font, anchor="mm")
        page.paste(column, (left, above))
    return encode_image(page)


def _column(image: Tensor) -> Image.Image:
    pixels = (255 * image.clamp(0, 1)).round().byte().permute(1, 2, 0).numpy()
    times = max(1, -(-NARROWEST // pixels.shape[1]))
    column = Image.fromarray(np.ascontiguousarray(pixels.repeat(times, axis=0).repeat(times, axis=1)))
    if column.width > WIDEST:
        column = column.resize((WIDEST, max(1, round(column.height * WIDEST / column.width))), Image.Resampling.BOX)
    return column
