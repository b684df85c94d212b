"""Compilation of CUDA C++ at run time, for the GPU at hand, by the compiler that comes with PyTorch for CUDA."""

import ctypes
import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lowrank_unroll.linalg.native.requirements import is_enabled

logger = logging.getLogger(__name__)


class Kernel:
    """A function of tensors and whole numbers on a GPU, launched in the current stream of the tensors' device."""

    def __init__(self, driver: Any, function: Any, device: torch.device) -> None:
        self.driver = driver
        self.function = function
        self.device = device

    def __call__(self, blocks: int, threads: int, *arguments: Tensor | int) -> None:
        """Launch the kernel without waiting for it; tensors are contiguous, numbers have 64 bits."""
        values = tuple(a.data_ptr() if isinstance(a, Tensor) else a for a in arguments)
        types = tuple(ctypes.c_void_p if isinstance(a, Tensor) else ctypes.c_longlong for a in arguments)
        with torch.cuda.device(self.device):
            stream = torch.cuda.current_stream().cuda_stream
            grid = (blocks, 1, 1, threads, 1, 1)
            checked(self.driver.cuLaunchKernel(self.function, *grid, 0, stream, (values, types), 0))


@cache
def compiled(device: torch.device, source: Path, names: tuple[str, ...], **constants: int) -> Mapping[str, Kernel]:
    """Return the kernels of a file by their names; none where it cannot be compiled.

    Args:
        device: the GPU.
        source: the file, in which they are ``extern "C"``.
        names: of the kernels.
        constants: macros that the file expects.
    """
    if not is_enabled():
        return {}
    try:
        from cuda.bindings import driver, nvrtc  # type: ignore[import-not-found]  # noqa: PLC0415  only on GPUs
    except ImportError:
        logger.warning(
            "cuda-bindings is not installed, so small matrices take longer: pip install 'cuda-bindings==%s.*'",
            torch.version.cuda,
        )
        return {}
    try:
        binary = _binary(nvrtc, device, source, constants)
        with torch.cuda.device(device):
            torch.cuda.current_stream().synchronize()  # creates the context if there is none
            module = checked(driver.cuModuleLoadData(binary))
            functions = [checked(driver.cuModuleGetFunction(module, name.encode())) for name in names]
    except RuntimeError as error:
        logger.warning("%s does not compile for %s, so small matrices take longer: %s", source.name, device, error)
        return {}
    return {name: Kernel(driver, function, device) for name, function in zip(names, functions, strict=True)}


def _binary(nvrtc: Any, device: torch.device, source: Path, constants: Mapping[str, int]) -> bytes:
    major, minor = torch.cuda.get_device_capability(device)
    macros = [f"-D{name}={value}" for name, value in constants.items()]
    options = [word.encode() for word in (f"--gpu-architecture=sm_{major}{minor}", "--std=c++17", *macros)]
    program = checked(nvrtc.nvrtcCreateProgram(source.read_bytes(), source.name.encode(), 0, [], []))
    try:
        checked(nvrtc.nvrtcCompileProgram(program, len(options), options))
    except RuntimeError as error:
        log = b" " * checked(nvrtc.nvrtcGetProgramLogSize(program))
        checked(nvrtc.nvrtcGetProgramLog(program, log))
        checked(nvrtc.nvrtcDestroyProgram(program))
        raise RuntimeError(f"{error}\n{log.decode()}") from error
    binary: bytes = b" " * checked(nvrtc.nvrtcGetCUBINSize(program))
    checked(nvrtc.nvrtcGetCUBIN(program, binary))
    checked(nvrtc.nvrtcDestroyProgram(program))
    return binary


def checked(answer: tuple[Any, ...]) -> Any:
    """Return the results of a CUDA function, without its status.

    Raises:
        RuntimeError: if the status is not success; names it.
    """
    status, *results = answer
    if int(status) != 0:
        raise RuntimeError(f"CUDA failed with {status!r}")
    return results[0] if results else None
