"""Calls of the machine's C++ compiler."""

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
COMPILERS = ("c++", "g++", "clang++")  # unless the environment variable CXX names another
OPTIONS = ("-O3", "-march=native", "-fno-math-errno", "-std=c++17", "-shared", "-fPIC")
TIMEOUT = 120.0  # s; it takes five
PROCESSOR = ("vendor_id", "cpu family", "model", "stepping", "CPU ", "flags", "Features")  # of /proc/cpuinfo
MAX_MESSAGE = 500  # characters of a compiler's output that are shown

logger = logging.getLogger(__name__)


class CompilationError(RuntimeError):
    """An error of the compiler, or of the library that it made."""


def compiler_command() -> list[str]:
    """Return the command line of the compiler; empty where there is no compiler.

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
    """Compile all C++ files of this folder into a shared library.

    Raises:
        CompilationError: as :func:`run_isolated`.
    """
    logger.info("compiling the C++ of %s, once for this machine; it takes some seconds", FOLDER)
    run_isolated([*compiler, *OPTIONS, *map(str, SOURCES), "-o", str(target)])


def run_isolated(command: Sequence[str]) -> None:
    """Run a command in a session of its own: its children end with it, and only this user can read or write its files.

    Raises:
        CompilationError: if it cannot be called, fails, or takes longer than TIMEOUT; has the end of its output.
    """
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(  # noqa: S603  the user's compiler
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True, umask=0o077
            )
        except OSError as error:
            raise CompilationError(f"{command[0]}: {error.strerror}") from error
        try:
            status = process.wait(TIMEOUT)
        except subprocess.TimeoutExpired as error:
            raise CompilationError(f"{command[0]} has not ended after {TIMEOUT:g} s") from error
        finally:
            with suppress(ProcessLookupError):  # no process is left
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if status:
            raise CompilationError(f"{command[0]} ended with {_describe(status)}: {_end_of(output.fileno())}")


def dependencies(compiler: Sequence[str]) -> str:
    """Return the text that a compiled library depends on: source, compiler, C library and processor.

    Nodes of a cluster share a cache, but not these. The compiler's file stands for its version, since asking the
    compiler takes time in every process, and forever if it hangs.
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
    """Return the model and its instructions; the name of the machine where the system does not list them."""
    known = [line for line in _processor_facts().splitlines() if line.startswith(PROCESSOR)]
    lists_instructions = any(line.startswith(("flags", "Features")) for line in known)
    return [platform.machine(), platform.processor(), *(known if lists_instructions else [platform.node()])]


def _processor_facts() -> str:
    """Return what Linux reports of the first core."""
    report = Path("/proc/cpuinfo")
    return report.read_text().split("\n\n")[0] if report.exists() else ""


def _describe(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"


def _end_of(output: int) -> str:
    end = os.lseek(output, 0, os.SEEK_END)
    text = os.pread(output, 4 * MAX_MESSAGE, max(0, end - 4 * MAX_MESSAGE)).decode(errors="replace").strip()
    return " ".join(map(one_line, text.splitlines()))[-MAX_MESSAGE:]
