"""Names of files that are read together."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def source_names(files: Sequence[Path], stems: Sequence[str] | None = None) -> list[str]:
    """Return a name for each file: that without suffix, or with it if another file has the same without.

    Args:
        files: their names, or paths relative to a folder.
        stems: their names without suffix; None for those of :attr:`pathlib.Path.stem`.
    """
    short = [file.stem for file in files] if stems is None else stems
    numbers = Counter(stem.lower() for stem in short)  # some file systems ignore case
    return [stem if numbers[stem.lower()] == 1 else file.as_posix() for file, stem in zip(files, short, strict=True)]
