"""CUDA for small matrices, each function one launch that nothing waits for."""

import math
from pathlib import Path

import torch
from torch import Tensor

from lowrank_unroll.linalg.derivatives import Point, Table
from lowrank_unroll.linalg.native.cuda_compiler import Kernel, compiled
from lowrank_unroll.linalg.native.memory import plain

SOURCE = Path(__file__).with_name("small_matrices.cu")
KERNELS = ("factors", "first_derivative", "eigen")
SINGLE = {torch.float32, torch.complex64}
WARP = 32  # threads, each of which holds a column

# Rows are shared out among warps while there is room on the GPU, since each goes through its own one after the other;
# but what a warp needs of a matrix before it can begin is worth so many rows. Much taller matrices are few, and better
# served by products of matrices.
MOST_WARPS, FEWEST_ROWS, MOST_ROWS = 8, 32, 2048
WARPS_AT_ONCE = 8  # on each multiprocessor


def takes(A: Tensor) -> bool:
    """Whether matrices such as A, (..., m, n), are for :func:`factors` and :func:`first_derivative`."""
    return A.dtype in SINGLE and _kernel("factors", A) is not None


def factors(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and Vh; see :func:`lowrank_unroll.linalg.native.factors`."""
    *batch, _, n = A.shape
    U, S, Vh = A.new_empty(A.shape), A.new_empty(*batch, n, dtype=A.real.dtype), A.new_empty(*batch, n, n)
    _launch("factors", A, U, S, Vh)
    return U, S, Vh


def first_derivative(point: Point, tabulated: Table, E: Tensor) -> tuple[Tensor, Tensor]:
    """A derivative and a diagonal; see :func:`lowrank_unroll.linalg.native.first_derivative`."""
    derivative, diagonal = E.new_empty(E.shape), point.S.new_empty(point.S.shape)
    _launch("first_derivative", point.U, point.S, point.Vh, *tabulated, E, derivative, diagonal)
    return derivative, diagonal


def hermitian_eigen(A: Tensor) -> tuple[Tensor, Tensor] | None:
    """Eigenvalues and eigenvectors; see :func:`lowrank_unroll.linalg.native.hermitian_eigen`."""
    if _kernel("eigen", A) is None:
        return None
    values, vectors = A.new_empty(A.shape[:-1], dtype=A.real.dtype), A.new_empty(A.shape)
    _launch("eigen", A, values, vectors)
    return values, vectors


def _kernel(name: str, A: Tensor) -> Kernel | None:
    m, n = A.shape[-2:]
    if A.device.type != "cuda" or n > WARP or m > MOST_ROWS or A.numel() == 0:
        return None
    return compiled(A.device, SOURCE, KERNELS, N=n, COMPLEX=int(A.is_complex())).get(name)


def _launch(name: str, A: Tensor, *others: Tensor) -> None:
    """Call a kernel with tensors, the number of matrices, and that of their rows."""
    kernel = _kernel(name, A)
    assert kernel is not None, "takes() was not asked"  # noqa: S101
    *batch, m, n = A.shape
    count = math.prod(batch)
    blocks = math.ceil(count / (WARP // n))
    room = WARPS_AT_ONCE * torch.cuda.get_device_properties(A.device).multi_processor_count // blocks
    warps = max(1, min(MOST_WARPS, m // FEWEST_ROWS, room))
    tensors = map(plain, (A, *others))
    kernel(blocks, warps * WARP, *tensors, count, m)
