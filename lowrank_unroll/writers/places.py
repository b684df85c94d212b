"""Paths of the files of a sample, none of which exists yet."""

import itertools
from collections.abc import Collection, Iterator
from pathlib import Path


def with_suffix(path: Path, suffix: str) -> Path:
    """Append a suffix to a path; ``Path.with_suffix`` would replace the .1 of "scan.1"."""
    return path.with_name(f"{path.name}.{suffix}")


def unused_path(folder: Path, path: Path, suffixes: Collection[str]) -> Path:
    """Return a path in a folder, or the first of its names with _2, _3, ... that has no file of any suffix yet."""
    found = folder
    for part in path.parent.parts:  # a file may have the name of a folder
        found = next(numbered for numbered in _numbered(found / part) if not numbered.is_file())
    return next(
        numbered
        for numbered in _numbered(found / path.name)
        if not any(with_suffix(numbered, suffix).exists() for suffix in suffixes)
    )


def _numbered(path: Path) -> Iterator[Path]:
    yield path
    yield from (path.with_name(f"{path.name}_{number}") for number in itertools.count(2))
