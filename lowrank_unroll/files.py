"""Files that are written as a whole, so that no reader finds half of one."""

import glob
import io
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lowrank_unroll.errors import first_line

HOUR = 60 * 60  # seconds


def write_whole(path: Path, content: bytes | memoryview, mode: int | None = None) -> None:
    """Write a file as a whole, by :func:`written_whole`."""
    with written_whole(path, mode) as temporary:
        temporary.write_bytes(content)


@contextmanager
def written_from_memory(path: Path) -> Iterator[io.BytesIO]:
    """Yield a file in memory; write it by :func:`write_whole` if the block succeeds.

    Meant for libraries that do not survive a full disk: HDF5 answers it with errors of several kinds, or crashes.

    Raises:
        OSError: if it cannot be written; names ``path``.
    """
    content = io.BytesIO()
    yield content
    write_whole(path, content.getbuffer())


@contextmanager
def written_whole(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds, delete it if not.

    The temporary file has the suffix of ``path``, since many writers choose the format by it. It is synchronised to the
    disk before it is renamed, so that a crash of the machine leaves either the former file or the new one.

    Args:
        path: the file; its folder is created.
        mode: its permissions; by default those that the umask leaves.

    Raises:
        OSError: if the file cannot be written, for example because the disk is full; names ``path``.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
        os.close(handle)
        temporary = Path(name)
        if mode is not None:
            temporary.chmod(mode)  # the umask may have left it unwritable
        yield temporary
        temporary.chmod(_usual_mode() if mode is None else mode)  # mkstemp makes private files
        _sync(temporary)
        temporary.replace(path)
        if os.name == "posix":  # elsewhere a folder cannot be opened
            _sync(path.parent)
    except OSError as error:
        if temporary is not None and error.filename is not None and Path(error.filename) != temporary:
            raise  # of another file, such as one that is read
        reason = os.strerror(error.errno) if error.errno else first_line(error)
        raise OSError(f"{path} cannot be written: {reason}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of :func:`written_whole` that killed runs have left beside a file.

    Those written to in the last hour stay, since another run may be writing them.
    """
    for hidden in path.parent.glob(f".{glob.escape(path.stem)}-????????{glob.escape(path.suffix)}"):
        with suppress(FileNotFoundError):  # renamed or removed by another run
            if time.time() - hidden.stat().st_mtime > HOUR:
                hidden.unlink()


def _usual_mode() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
