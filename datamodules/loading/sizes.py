"""Arrays in files are to be no larger than what the files can hold."""

from pathlib import Path

from lowrank_unroll.errors import DataError

MOST_COMPRESSED = 64  # times as large as its file may an array be: the zeros of undersampled k-space compress
ALWAYS_TAKEN = 2**26  # bytes


def check_size(path: Path, size: int, what: str) -> None:
    """Refuse an array that would take far more memory than its file, before it is read.

    Args:
        path: of the file.
        size: of the array, bytes.
        what: it is, for people.

    Raises:
        DataError: if it is larger than 64 MiB and 64 times the file; names the file.
    """
    content = path.stat().st_size
    if size > max(ALWAYS_TAKEN, MOST_COMPRESSED * content):
        raise DataError(
            f"{path}: {what} would take {size / 1e6:.0f} MB of memory, more than {MOST_COMPRESSED} times the "
            f"{content / 1e6:.3g} MB of the file: write it without compression if it is meant so"
        )
