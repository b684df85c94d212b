"""Splits of raw files into training, validation and test."""

import csv
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from datamodules.loading.data_module import Split
from lowrank_unroll.errors import DataError, first_line

OCMR_SPLIT = Path(__file__).with_name("ocmr_split.csv")  # of arXiv 2411.14141


def hashed_split(name: str) -> Split:
    """Return a split that depends on a name alone, in the proportions of OCMR's: 124 to 40 to 40."""
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 204
    return "train" if number < 124 else "val" if number < 164 else "test"  # noqa: PLR2004


def read_split(path: Path) -> Mapping[str, Split]:
    """Return the split of each file in a CSV file with columns `file` and `split`.

    Raises:
        DataError: if it cannot be read, a column is missing, a file is in two splits, or a split is unknown; names the
            CSV file.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or ())
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV: {first_line(error)}") from error
    if not {"file", "split"} <= set(columns):
        raise DataError(f"{path}: expected the columns file and split, found {columns!r:.200}")
    splits = {row["file"]: row["split"] or "" for row in rows}
    if contradictory := [row["file"] for row in rows if splits[row["file"]] != (row["split"] or "")]:
        raise DataError(f"{path}: {contradictory[0]} is in two splits, expected one for each file")
    if wrong := set(splits.values()) - {"train", "val", "test"}:
        raise DataError(f"{path}: the split is {min(wrong)!r}, expected 'train', 'val' or 'test'")
    return cast("Mapping[str, Split]", splits)
