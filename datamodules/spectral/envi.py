"""Cubes in ENVI format: a text header, and a raw file that is read window by window."""

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lowrank_unroll.errors import DataError

# Codes of the header; complex numbers, 6 and 9, are no radiances.
DTYPES = {1: "u1", 2: "i2", 3: "i4", 4: "f4", 5: "f8", 12: "u2", 13: "u4", 14: "i8", 15: "u8"}
# The order of the dims in the file, and which of them are band, height and width.
INTERLEAVES = {"bsq": (0, 1, 2), "bil": (1, 0, 2), "bip": (2, 0, 1)}
SUFFIXES = ("", ".raw", ".img", ".dat", ".bin", ".bsq", ".bil", ".bip")
LONGEST_HEADER = 2**20  # bytes


class EnviArray:
    """The values of an ENVI file, in the order of the file, of which only the windows asked for are read.

    The file is mapped anew for each window, since a pickled map would be a copy of the whole array.

    Args:
        header: the .hdr file; the raw file beside it has its name without suffix, or with .raw, .img, .dat, .bin, .bsq,
            .bil or .bip.

    Attributes:
        shape: of the dims in the file.
        axes: the dims that are band, height and width.

    Raises:
        DataError: if a field of the header is missing or unknown, or the raw file is missing or too short; names it.
    """

    def __init__(self, header: Path) -> None:
        self.path = _raw_file(header)
        fields = _fields(header)
        bands, height, width = (_number(header, fields, name) for name in ("bands", "lines", "samples"))
        interleave, code = fields.get("interleave", "").lower(), _number(header, fields, "data type")
        if interleave not in INTERLEAVES or code not in DTYPES:
            raise DataError(
                f"{header}: interleave {interleave!r} and data type {code}, expected bsq, bil or bip, and one of "
                f"{', '.join(map(str, DTYPES))}"
            )
        self.axes = INTERLEAVES[interleave]
        sizes = dict(zip(self.axes, (bands, height, width), strict=True))
        self.shape = tuple(sizes[dim] for dim in range(3))
        self.offset = _number(header, fields, "header offset", 0)
        order = ">" if _number(header, fields, "byte order", 0) else "<"
        self.dtype: np.dtype[Any] = np.dtype(order + DTYPES[code])
        needed = self.offset + math.prod(self.shape) * self.dtype.itemsize
        if min(self.shape) < 1 or self.path.stat().st_size < needed:
            raise DataError(f"{self.path}: {self.path.stat().st_size} bytes, expected {needed} by {header.name}")

    def __getitem__(self, window: Any) -> npt.NDArray[Any]:
        """Read a window, indexed as NumPy indexes arrays."""
        return np.array(np.memmap(self.path, self.dtype, "r", self.offset, self.shape)[window])


def _fields(header: Path) -> dict[str, str]:
    """Return the fields ``name = value`` of a header by their names in small letters; lists in braces are whole."""
    if header.stat().st_size > LONGEST_HEADER:
        raise DataError(f"{header}: {header.stat().st_size} bytes, expected the short text of an ENVI header")
    text = header.read_bytes().decode("latin-1")
    if not text.startswith("ENVI"):
        raise DataError(f"{header}: begins with {text[:8]!r}, expected an ENVI header, which begins with 'ENVI'")
    found = re.findall(r"^([^={}\n]+)=[ \t]*(\{[^{}]*\}|[^\n]*)", text, re.MULTILINE)
    return {" ".join(name.lower().split()): value.strip() for name, value in found}


def _number(header: Path, fields: dict[str, str], name: str, default: int | None = None) -> int:
    value = fields.get(name, "" if default is None else str(default))
    if not re.fullmatch(r"\d{1,15}", value):
        raise DataError(f"{header}: {name} is {value[:40]!r}, expected a whole number")
    return int(value)


def _raw_file(header: Path) -> Path:
    stem = header.with_suffix("")
    names = [stem.with_name(stem.name + suffix) for suffix in SUFFIXES]
    found = next((file for file in names if file.is_file()), None)
    if found is None:
        raise DataError(f"{header}: its raw file is missing, expected {stem.name}, {stem.name}.raw or .img beside it")
    return found
