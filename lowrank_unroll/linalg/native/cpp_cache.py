"""Compiled libraries, kept in the user's cache: made once, and loaded only if nobody else can have written them.

Beside each library, NAME.so, is a record, NAME.json, of its checksum, or of why it cannot be compiled.
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
from lowrank_unroll.linalg.native.cpp_compiler import PATIENCE, CompilationError, run_alone

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
DAY = 24 * 60 * 60  # s after which a compiler that failed is tried again


class UnsafeError(RuntimeError):
    """Others may write where compiled code is kept."""


def cached_library(name: str, functions: tuple[str, ...], compile_to: Callable[[Path], None]) -> ctypes.CDLL:
    """Load a library from the cache; compile it first where it is not there, damaged, or cannot be loaded.

    Of processes that start at the same time one compiles, and the others wait for it.

    Args:
        name: of everything that the library depends on.
        functions: what it must have.
        compile_to: writes the library to a path.

    Raises:
        CompilationError: if it cannot be compiled, now or within a day.
        UnsafeError: if others may write to the cache.
        OSError: if the cache cannot be written.
    """
    made = _private_folder() / f"{name}.so"
    for path in (made, made.with_suffix(".json")):
        remove_leftovers(path)
    library = _load_kept(made, functions)
    if library is not None:
        return library
    with _one_at_a_time(made):
        # Another process may have compiled it in the meantime.
        return _load_kept(made, functions) or _compile(made, functions, compile_to)


def _compile(made: Path, functions: tuple[str, ...], compile_to: Callable[[Path], None]) -> ctypes.CDLL:
    """Compile a library, try it, keep it with its checksum, and load it.

    Raises:
        CompilationError: if that fails; the reason is in the record.
        OSError: if the cache cannot be written.
    """
    try:
        with written_whole(made, PRIVATE_FILE) as temporary:
            compile_to(temporary)
            _try_to_load(temporary, functions)
            checksum = _checksum(temporary.read_bytes())
    except (CompilationError, OSError) as error:
        with suppress(OSError):  # as where the disk is full
            _write_record(made, failed=str(error), at=time.time())
        raise
    _write_record(made, checksum=checksum)
    library = _load_kept(made, functions)
    if library is None:
        failed = f"{made} cannot be loaded"
        _write_record(made, failed=failed, at=time.time())
        raise CompilationError(failed)
    return library


def _try_to_load(path: Path, functions: tuple[str, ...]) -> None:
    """Load a library in a process of its own, which a bad one may crash."""
    run_alone([sys.executable, "-I", "-S", "-c", TRIAL, str(path), *functions])


def _load_kept(made: Path, functions: tuple[str, ...]) -> ctypes.CDLL | None:
    """Load what the cache holds; None if that is nothing, or nothing that works.

    Raises:
        CompilationError: if the record says that it could not be compiled, less than a day ago.
    """
    record = _read_record(made)
    failed_at = record.get("at")
    if isinstance(failed_at, float) and 0 <= time.time() - failed_at < DAY:
        again = f"it is tried again after a day, or without {made.with_suffix('.json')}"
        raise CompilationError(f"{record.get('failed')} ({again})")
    file = _open_own(made)
    if file is None:
        return None
    with os.fdopen(file, "rb", closefd=False) as content:
        whole = _checksum(content.read()) == record.get("checksum")
    with suppress(OSError, AttributeError):  # of another system, or without a function
        if whole:
            library = ctypes.CDLL(_path_of_open(file, made))
            if all(hasattr(library, name) for name in functions):
                return library  # the file stays open, or another one could be given its path
    os.close(file)
    return None


def _path_of_open(file: int, path: Path) -> str:
    """The path of what is open and has been checked, where there is one: the other may lead elsewhere by now."""
    of_open = Path(f"/proc/thread-self/fd/{file}")  # of Linux
    return str(of_open if of_open.exists() else path)


def _private_folder() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").absolute() / "lowrank_unroll"
    for missing in reversed([path for path in (folder, *folder.parents) if not os.path.lexists(path)]):
        with suppress(FileExistsError):  # made by another process
            missing.mkdir(PRIVATE_FOLDER)
            missing.chmod(PRIVATE_FOLDER)  # whatever the umask
    facts = folder.lstat()
    if not stat.S_ISDIR(facts.st_mode):
        raise UnsafeError(f"{folder} is no folder, or a link to one, from which no code is loaded; remove it")
    if not _is_own(facts):
        raise UnsafeError(f"others may write to {folder}, from which no code is loaded then; chmod go-w or remove it")
    return folder


def _is_own(facts: os.stat_result) -> bool:
    """Return whether a file or folder belongs to this user or root, and nobody else can write to it."""
    return facts.st_uid in {0, os.geteuid()} and not facts.st_mode & OTHERS_WRITE


def _open_own(path: Path) -> int | None:
    """Open a file to be read, if it is no link and only its user can write to it."""
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


def _read_record(made: Path) -> dict[str, str | float]:
    file = _open_own(made.with_suffix(".json"))
    if file is None:
        return {}
    with os.fdopen(file, "rb") as content:
        try:
            record = json.loads(content.read())
        except ValueError:  # damaged
            return {}
    return record if isinstance(record, dict) else {}


def _write_record(made: Path, **record: str | float) -> None:
    write_whole(made.with_suffix(".json"), json.dumps(record).encode(), PRIVATE_FILE)


@contextmanager
def _one_at_a_time(made: Path) -> Iterator[None]:
    """Wait until no other process is at work on a file; not for longer than one may take."""
    file = os.open(made.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.fchmod(file, PRIVATE_FILE)
        patient_until = time.monotonic() + PATIENCE
        while not _locked(file) and time.monotonic() < patient_until:
            time.sleep(0.1)
        yield
    finally:
        os.close(file)


def _locked(file: int) -> bool:
    """Lock a file unless another process has; where there are no locks, as on some network disks, go on without."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
