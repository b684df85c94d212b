"""The user's cache of compiled libraries: each is compiled once, and loaded only if no other user can write it.

Beside each library, NAME.so, a record, NAME.json, holds its checksum, or the reason why it cannot be compiled.
"""

import ctypes
import hashlib
import json
import os
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lowrank_unroll.files import remove_leftovers, write_whole, written_whole
from lowrank_unroll.linalg.native.cpp_compiler import TIMEOUT, CompilationError, run_isolated

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
TRIAL = """
import ctypes, sys
try:
    library = ctypes.CDLL(sys.argv[1])
    [getattr(library, name) for name in sys.argv[2:]]
except (OSError, AttributeError) as error:
    sys.exit(str(error))
"""
RETRY_AFTER = 24 * 60 * 60  # s, after which a compiler that failed is called again


class UnsafeError(RuntimeError):
    """An error because other users can write to the cache."""


def cached_library(name: str, functions: tuple[str, ...], compile_to: Callable[[Path], None]) -> ctypes.CDLL:
    """Load a library from the cache; compile it first if it is missing, damaged, or cannot be loaded.

    Of several processes one compiles, and the others wait for it.

    Args:
        name: stands for all that the library depends on.
        functions: that the library must have.
        compile_to: writes the library to a path.

    Raises:
        CompilationError: if it cannot be compiled, or could not within the last day.
        UnsafeError: if other users can write to the cache.
        OSError: if the cache cannot be written.
    """
    target = _private_folder() / f"{name}.so"
    for path in (target, target.with_suffix(".json")):
        remove_leftovers(path)
    library = _load_cached(target, functions)
    if library is not None:
        return library
    with _lock(target):
        # Another process may have compiled it in the meantime.
        return _load_cached(target, functions) or _compile(target, functions, compile_to)


def _compile(target: Path, functions: tuple[str, ...], compile_to: Callable[[Path], None]) -> ctypes.CDLL:
    """Compile a library, try it, store it with its checksum, and load it.

    Raises:
        CompilationError: if that fails; the reason is in the record.
        OSError: if the cache cannot be written.
    """
    try:
        with written_whole(target, PRIVATE_FILE) as temporary:
            compile_to(temporary)
            _try_to_load(temporary, functions)
            checksum = _checksum(temporary.read_bytes())
    except (CompilationError, OSError) as error:
        library = _load_cached(target, functions)
        if library is not None:  # another process, for which this one did not wait any longer, has succeeded
            return library
        with suppress(OSError):  # the disk may be full
            _write_record(target, failed=str(error), at=time.time())
        raise
    _write_record(target, checksum=checksum)
    library = _load_cached(target, functions)
    if library is None:
        failed = f"{target} cannot be loaded"
        _write_record(target, failed=failed, at=time.time())
        raise CompilationError(failed)
    return library


def _try_to_load(path: Path, functions: tuple[str, ...]) -> None:
    """Load a library in a process of its own, since a bad one may crash."""
    run_isolated([sys.executable, "-I", "-S", "-c", TRIAL, str(path), *functions])


def _load_cached(target: Path, functions: tuple[str, ...]) -> ctypes.CDLL | None:
    """Load the library from the cache; None if there is none that works.

    Raises:
        CompilationError: if by its record it could not be compiled less than a day ago.
    """
    record = _read_record(target)
    failed_at = record.get("at")
    if isinstance(failed_at, float) and 0 <= time.time() - failed_at < RETRY_AFTER:
        retry = f"the next try is after a day, or once {target.with_suffix('.json')} is removed"
        raise CompilationError(f"{record.get('failed')} ({retry})")
    file = _open_own(target)
    if file is None:
        return None
    with os.fdopen(file, "rb", closefd=False) as content:
        intact = _checksum(content.read()) == record.get("checksum")
    with suppress(OSError, AttributeError):  # compiled for another system, or without a function
        if intact:
            library = ctypes.CDLL(_path_of_open(file, target))
            if all(hasattr(library, name) for name in functions):
                return library  # the file stays open: if closed, another file could get its path in /proc
    os.close(file)
    return None


def _path_of_open(file: int, path: Path) -> str:
    """Return a path of the open file, which has been checked, on Linux: another file may have its name by now."""
    descriptor = Path(f"/proc/thread-self/fd/{file}")
    return str(descriptor if descriptor.exists() else path)


def _private_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "lowrank_unroll"
    for missing in reversed([path for path in (folder, *folder.parents) if not os.path.lexists(path)]):
        with suppress(FileExistsError):  # another process has made it
            missing.mkdir(PRIVATE_FOLDER)
            missing.chmod(PRIVATE_FOLDER)  # the umask may have restricted it
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise UnsafeError(f"{folder} is not a folder (a link to one is not used, either); remove it")
    if not _is_own(facts):
        raise UnsafeError(f"other users can write to {folder}, so no code is loaded from it; chmod go-w or remove it")
    return folder


def _is_own(facts: os.stat_result) -> bool:
    """Return whether a file or folder belongs to this user or root, and nobody else can write to it."""
    return facts.st_uid in {0, os.geteuid()} and not facts.st_mode & OTHERS_WRITE


def _open_own(path: Path) -> int | None:
    """Open a file for reading; None if it is a link or another user can write to it."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    facts = os.fstat(file)
    if stat.S_ISREG(facts.st_mode) and _is_own(facts):
        return file
    os.close(file)
    return None


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _read_record(target: Path) -> dict[str, str | float]:
    file = _open_own(target.with_suffix(".json"))
    if file is None:
        return {}
    with os.fdopen(file, "rb") as content:
        try:
            record = json.loads(content.read())
        except ValueError:  # the record is damaged
            return {}
    return record if isinstance(record, dict) else {}


def _write_record(target: Path, **record: str | float) -> None:
    write_whole(target.with_suffix(".json"), json.dumps(record).encode(), PRIVATE_FILE)


@contextmanager
def _lock(target: Path) -> Iterator[None]:
    """Lock a file in the block, after waiting for other processes, for no longer than a compilation may take."""
    file = os.open(target.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.fchmod(file, PRIVATE_FILE)
        deadline = time.monotonic() + TIMEOUT
        while not _try_to_lock(file) and time.monotonic() < deadline:
            time.sleep(0.1)
        yield
    finally:
        os.close(file)


def _try_to_lock(file: int) -> bool:
    """Return False if another process has locked the file; some systems and network disks have no locks: go on then."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
