"""Compressed parts of files, whose true size is found before a library unfolds them.

Readers trust the size that a file declares, and a part may unfold to a thousand times that.
"""

import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tifffile

from datamodules.loading.array_checks import check_array_size
from lowrank_unroll.errors import DataError

STEP = 2**24  # bytes that are unfolded at a time
MATLAB_HEADER, MATLAB_COMPRESSED = 128, 15
DEFLATE = {tifffile.COMPRESSION.ADOBE_DEFLATE, tifffile.COMPRESSION.DEFLATE}


def check_matlab_parts(file: Path) -> None:
    """Refuse a MATLAB file (version 5) whose compressed elements would take far more memory than the file.

    Raises:
        DataError: names the file.
    """
    with file.open("rb") as content:
        order = ">" if content.read(MATLAB_HEADER)[-2:] == b"MI" else "<"
        unfolded = 0
        while len(head := content.read(8)) == 8:  # noqa: PLR2004
            kind, size = struct.unpack(f"{order}II", head)
            if kind == MATLAB_COMPRESSED:
                unfolded = _check_unfolded(file, content.read(size), unfolded)
            else:
                content.seek(size, 1)


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
            unfolded = _check_unfolded(file, content.filehandle.read(size), unfolded)


def _check_unfolded(file: Path, data: bytes, before: int) -> int:
    """Return the number of bytes that data unfold to, added to those before."""
    decompressor, unfolded = zlib.decompressobj(), before
    while data and not decompressor.eof:
        unfolded += len(decompressor.decompress(data, STEP))
        data = decompressor.unconsumed_tail
        check_array_size(file, unfolded, "its content")
    return unfolded
