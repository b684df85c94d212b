"""The functions of C++ that Python calls. A new one is a line of SIGNATURES and a function in a file of this room."""

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
    everything_it_depends_on,
)
from lowrank_unroll.linalg.native.switch import switched_on

POINTER, SIZE = ctypes.c_void_p, ctypes.c_int64
STRIDED = (POINTER, SIZE, SIZE, SIZE, ctypes.c_bool)  # matrices with their strides, and whether to conjugate them
SIGNATURES = {
    **dict.fromkeys(("eigen_real", "eigen_complex"), (*[POINTER] * 3, SIZE, SIZE)),
    **dict.fromkeys(("gram_real", "gram_complex"), (*STRIDED, *[POINTER] * 3, SIZE, SIZE, SIZE)),
    **dict.fromkeys(("derivative_real", "derivative_complex"), (*[POINTER] * 5, *STRIDED, *[POINTER] * 2, *[SIZE] * 3)),
    **dict.fromkeys(("spectral_real", "spectral_complex"), (*[POINTER] * 4, *[SIZE] * 3)),
    "excess_real": (*[POINTER] * 3, SIZE, SIZE),
    "match_real": (POINTER, *[SIZE] * 9, POINTER),
}
DONE, NO_RESULT = 0, 1  # of guarded.hpp

logger = logging.getLogger(__name__)


@cache
def library() -> ctypes.CDLL | None:
    """Return the compiled functions, made when first asked for and kept in the user's cache; None where there are none.

    They let other threads go on while they work, return whether there is a result, and raise MemoryError.
    """
    if not switched_on() or os.name != "posix":
        return None
    try:
        compiler = compiler_command()
        if not compiler:
            return None
        key = hashlib.sha256(everything_it_depends_on(compiler).encode()).hexdigest()[:16]
        loaded = cached_library(f"linalg_{key}", tuple(SIGNATURES), partial(compile_library, compiler))
    except (OSError, RuntimeError) as error:  # RuntimeError: also where there is no home
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
