"""Names of files that are read together."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path


def source_names(files: Sequence[Path], stems: Sequence[str] | None = None) -> list[str]:
    """Return what to call each file: its name without suffix, or with it where another file is called the same.

    Args:
        files: their names, or paths relative to a folder.
        stems: their names without suffix; None for those of :attr:`pathlib.Path.stem`.
    """
    short = [file.stem for file in files] if stems is None else stems
    numbers = Counter(stem.lower() for stem in short)  # some file systems do not tell capitals apart
    return [stem if numbers[stem.lower()] == 1 else file.as_posix() for file, stem in zip(files, short, strict=True)]
