"""Pictures as the bytes of a file, and as text that HTML holds."""

from base64 import b64encode
from io import BytesIO
from typing import Any

from matplotlib.figure import Figure
from PIL import Image


def encode_figure(figure: Figure, kind: str = "png", **options: Any) -> bytes:
    """Return a figure as a file of a kind such as "png" or "svg"; options are those of ``savefig``."""
    encoded = BytesIO()
    figure.savefig(encoded, format=kind, **options)
    return encoded.getvalue()


def encode_image(image: Image.Image, **options: Any) -> bytes:
    """Return an image as a PNG; options are those of Pillow."""
    encoded = BytesIO()
    image.save(encoded, "PNG", **options)
    return encoded.getvalue()


def data_uri(kind: str, encoded: bytes) -> str:
    """Return a file, of a MIME type such as "image/png", as the address of a picture in HTML."""
    return f"data:{kind};base64,{b64encode(encoded).decode()}"
