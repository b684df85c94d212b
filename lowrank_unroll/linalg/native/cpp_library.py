"""The C++ functions that Python calls. To add one, write it in a file of this folder and add a line to SIGNATURES."""

import ctypes
import hashlib
import logging
import os
from functools import cache, partial
from typing import Any

from lowrank_unroll.linalg.native.cpp_cache import cached_library
from lowrank_unroll.linalg.native.cpp_compiler import (
    FOLDER,
    compile_library,
    compiler_command,
    dependencies,
)
from lowrank_unroll.linalg.native.requirements import is_enabled

POINTER, SIZE = ctypes.c_void_p, ctypes.c_int64
STRIDED = (POINTER, SIZE, SIZE, SIZE, ctypes.c_bool)  # matrices, their strides, and whether to conjugate them
SIGNATURES = {
    f"{name}_{kind}": arguments
    for kind in ("real", "complex")
    for name, arguments in {
        "gram_svd": (*STRIDED, *[POINTER] * 3, *[SIZE] * 3),
        "hermitian_eigen": (*[POINTER] * 3, *[SIZE] * 2),
        "recompose": (*[POINTER] * 4, *[SIZE] * 3),
        "first_derivative": (*[POINTER] * 5, *STRIDED, *[POINTER] * 2, *[SIZE] * 3),
    }.items()
} | {
    **dict.fromkeys(
        ("total_variation_real", "total_variation_complex"),
        (*[POINTER] * 5, ctypes.c_float, *[SIZE] * 6),
    ),
    "soft_differences_real": (*[POINTER] * 3, *[SIZE] * 2),
    "match_patches_real": (POINTER, *[SIZE] * 9, POINTER),
}
DONE, NO_RESULT = 0, 1  # of Status in call.hpp

logger = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled functions, or None; they are compiled once and kept in the user's cache.

    They release the lock of Python, return whether there is a result, and raise MemoryError.
    """
    if not is_enabled() or os.name != "posix":
        return None
    try:
        compiler = compiler_command()
        if not compiler:
            return None
        key = hashlib.sha256(dependencies(compiler).encode()).hexdigest()[:16]
        loaded = cached_library(f"linalg_{key}", tuple(SIGNATURES), partial(compile_library, compiler))
    except (OSError, RuntimeError) as error:  # RuntimeError is also raised without a home folder
        logger.warning("the C++ of %s is not used, so small matrices take longer: %s", FOLDER, error)
        return None
    for name, arguments in SIGNATURES.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype, function.errcheck = arguments, ctypes.c_int, _has_result
    return loaded


def _has_result(status: int, *_: Any) -> bool:
    if status not in {DONE, NO_RESULT}:
        raise MemoryError("there is not enough memory for compiled code")
    return status == DONE
