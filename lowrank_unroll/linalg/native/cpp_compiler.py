"""The C++ of this room, compiled once for the machine that it runs on, and kept in the user's cache."""

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
from functools import cache
from pathlib import Path

from lowrank_unroll.files import written_whole

FOLDER = Path(__file__).parent
SOURCES = sorted(FOLDER.glob("*.cpp"))
HEADERS = sorted(FOLDER.glob("*.hpp"))
COMPILERS = ("c++", "g++", "clang++")  # unless the environment names another, CXX
OPTIONS = ("-O3", "-march=native", "-fno-math-errno", "-std=c++17", "-shared", "-fPIC")
PATIENCE = 120.0  # s that it may take; it takes five
SHOWN = 500  # characters of what a compiler complains of
POINTER, SIZE = ctypes.c_void_p, ctypes.c_int64
STRIDED = (POINTER, SIZE, SIZE, SIZE, ctypes.c_bool)  # matrices with their strides, and whether to conjugate them
ARGUMENTS = {
    **dict.fromkeys(("eigen_real", "eigen_complex"), (*[POINTER] * 3, SIZE, SIZE)),
    **dict.fromkeys(("gram_real", "gram_complex"), (*STRIDED, *[POINTER] * 3, SIZE, SIZE, SIZE)),
    **dict.fromkeys(("derivative_real", "derivative_complex"), (*[POINTER] * 5, *STRIDED, *[POINTER] * 2, *[SIZE] * 3)),
    "excess_real": (*[POINTER] * 3, SIZE, SIZE),
}

logger = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """The compiled functions, made when first asked for and kept in the user's cache; None where there is no compiler.

    They let other threads go on while they work.
    """
    compiler = os.environ.get("CXX") or next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        return None
    try:
        loaded = ctypes.CDLL(str(_compiled(compiler)))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:  # RuntimeError: there is no home
        said = getattr(error, "stderr", None) or b""
        reason = said.decode(errors="replace").strip()[-SHOWN:] or error
        logger.warning(
            "the C++ of %s cannot be had from %s, so small matrices take longer: %s", FOLDER, compiler, reason
        )
        return None
    for name, arguments in ARGUMENTS.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = arguments, ctypes.c_bool
    return loaded


def _compiled(compiler: str) -> Path:
    made = _cache() / f"linalg_{_everything_it_depends_on(compiler)}.so"
    if not made.exists():
        logger.info("compiling the C++ of %s, once for this machine: some seconds", FOLDER)
        made.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(made) as temporary:
            words = [*compiler.split(), *OPTIONS, *map(str, SOURCES), "-o", str(temporary)]
            subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE)  # noqa: S603  the user's compiler
    return made


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lowrank_unroll"


def _everything_it_depends_on(compiler: str) -> str:
    """A hash of the source, the compiler and the processor, since nodes of a cluster share a cache but not these."""
    facts = Path("/proc/cpuinfo")  # of Linux
    lines = facts.read_text().splitlines() if facts.exists() else []
    abilities = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    sources = [source.read_text() for source in (*SOURCES, *HEADERS)]
    parts = [*sources, compiler, *OPTIONS, platform.machine(), platform.processor(), abilities]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]
