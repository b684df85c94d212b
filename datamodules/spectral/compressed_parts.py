"""Compressed parts of TIFF files, whose true size is found before a library unfolds them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tifffile

from datamodules.loading.array_checks import check_unfolded
from lowrank_unroll.errors import DataError

DEFLATE = {tifffile.COMPRESSION.ADOBE_DEFLATE, tifffile.COMPRESSION.DEFLATE}


def check_tiff_parts(file: Path, content: tifffile.TiffFile, pages: Iterable[Any]) -> None:
    """Refuse pages of a TIFF whose strips or tiles would take far more memory than the file.

    Raises:
        DataError: if they would, or are compressed otherwise than by deflate; names the file.
    """
    unfolded = 0
    for page in pages:
        compression = page.keyframe.compression
        if compression == tifffile.COMPRESSION.NONE:
            continue
        if compression not in DEFLATE:
            name = getattr(compression, "name", compression)
            raise DataError(f"{file}: is compressed by {name}, expected none or deflate: write it with one of them")
        for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
            content.filehandle.seek(offset)
            unfolded = check_unfolded(file, content.filehandle.read(size), unfolded)
