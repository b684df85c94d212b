"""The C++ compiler of the machine, and how long it may take."""

import logging
import os
import platform
import shlex
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lowrank_unroll.names import one_line

FOLDER = Path(__file__).parent
SOURCES = sorted(FOLDER.glob("*.cpp"))
HEADERS = sorted(FOLDER.glob("*.hpp"))
COMPILERS = ("c++", "g++", "clang++")  # unless the environment names another, CXX
OPTIONS = ("-O3", "-march=native", "-fno-math-errno", "-std=c++17", "-shared", "-fPIC")
PATIENCE = 120.0  # s that it may take; it takes five
PROCESSOR = ("vendor_id", "cpu family", "model", "stepping", "CPU ", "flags", "Features")  # of /proc/cpuinfo
SHOWN = 500  # characters of what a compiler complains of

logger = logging.getLogger(__name__)


class CompilationError(RuntimeError):
    """The compiler, or what it made, does not work."""


def compiler_command() -> list[str]:
    """Return the words that call the compiler; none where there is no compiler.

    Raises:
        CompilationError: if the environment variable CXX cannot be split into words.
    """
    named = os.environ.get("CXX", "").strip()
    if not named:
        return [path for path in map(shutil.which, COMPILERS) if path][:1]
    try:
        return shlex.split(named)
    except ValueError as error:
        raise CompilationError(f"the environment variable CXX is {named!r}: {error}") from error


def compile_library(compiler: Sequence[str], target: Path) -> None:
    """Compile all C++ files of this room into a shared library.

    Raises:
        CompilationError: if the compiler cannot be called, fails, or takes longer than PATIENCE; holds its last words.
    """
    logger.info("compiling the C++ of %s, once for this machine: some seconds", FOLDER)
    run_alone([*compiler, *OPTIONS, *map(str, SOURCES), "-o", str(target)])


def run_alone(command: Sequence[str]) -> None:
    """Run a command whose children end with it, and whose files nobody else can read or write.

    Raises:
        CompilationError: if it cannot be called, fails, or takes longer than PATIENCE; holds its last words.
    """
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(  # noqa: S603  the user's compiler
                command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True, umask=0o077
            )
        except OSError as error:
            raise CompilationError(f"{command[0]}: {error.strerror}") from error
        try:
            status = process.wait(PATIENCE)
        except subprocess.TimeoutExpired as error:
            raise CompilationError(f"{command[0]} has not ended after {PATIENCE:g} s") from error
        finally:
            with suppress(ProcessLookupError):  # none is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if status:
            raise CompilationError(f"{command[0]} ends with {_meaning(status)}: {_last_words(said.fileno())}")


def everything_it_depends_on(compiler: Sequence[str]) -> str:
    """Return the text that decides what is compiled: source, compiler, C library and processor.

    Nodes of a cluster share a cache, but not these. A compiler's version is told by its file, since asking the compiler
    takes time in every process, and forever if it hangs.
    """
    sources = [source.read_text("utf-8") for source in (*SOURCES, *HEADERS)]
    return "|".join([*sources, *map(_version, compiler), *OPTIONS, *platform.libc_ver(), *_processor()])


def _version(word: str) -> str:
    found = shutil.which(word)
    if found is None:
        return word
    path = Path(found).resolve()
    facts = path.stat()
    return f"{word} {path} {facts.st_size} {facts.st_mtime_ns}"


def _processor() -> list[str]:
    """The model and its instructions; the name of the machine where the system does not tell them."""
    known = [line for line in _processor_facts().splitlines() if line.startswith(PROCESSOR)]
    told = any(line.startswith(("flags", "Features")) for line in known)
    return [platform.machine(), platform.processor(), *(known if told else [platform.node()])]


def _processor_facts() -> str:
    """Return what Linux tells of the first core."""
    told = Path("/proc/cpuinfo")
    return told.read_text().split("\n\n")[0] if told.exists() else ""


def _meaning(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _last_words(said: int) -> str:
    end = os.lseek(said, 0, os.SEEK_END)
    words = os.pread(said, 4 * SHOWN, max(0, end - 4 * SHOWN)).decode(errors="replace").strip()
    return " ".join(map(one_line, words.splitlines()))[-SHOWN:]
