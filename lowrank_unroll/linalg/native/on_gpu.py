"""The kernels in CUDA, each one launch, without synchronising."""

import math
from pathlib import Path

import torch
from torch import Tensor

from lowrank_unroll.linalg.derivatives import LoewnerMatrix, Point
from lowrank_unroll.linalg.native.cuda_compiler import Kernel, compiled
from lowrank_unroll.linalg.native.requirements import contiguous

SOURCE = Path(__file__).with_name("small_matrices.cu")
KERNELS = ("gram_svd", "first_derivative", "hermitian_eigen")
SINGLE = {torch.float32, torch.complex64}
WARP = 32  # threads, each of which holds a column

# Several warps share the rows of a matrix while multiprocessors would be idle otherwise. What each of them does before
# its first row costs as much as MIN_ROWS rows. Taller matrices than MAX_ROWS are few: PyTorch's products are faster.
MAX_WARPS, MIN_ROWS, MAX_ROWS = 8, 32, 2048
WARPS_PER_MULTIPROCESSOR = 8


def supports(A: Tensor) -> bool:
    """Return whether matrices A, (..., m, n), are for :func:`gram_svd` and :func:`first_derivative`."""
    return A.dtype in SINGLE and _kernel("gram_svd", A) is not None


def supports_eigen(A: Tensor) -> bool:
    """Return whether matrices A, (..., n, n) in double precision, are for :func:`hermitian_eigen`."""
    return _kernel("hermitian_eigen", A) is not None


def gram_svd(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return U, S and Vh; see :func:`lowrank_unroll.linalg.native.gram_svd`."""
    *batch, _, n = A.shape
    U, S, Vh = A.new_empty(A.shape), A.new_empty(*batch, n, dtype=A.real.dtype), A.new_empty(*batch, n, n)
    _launch("gram_svd", A, U, S, Vh)
    return U, S, Vh


def hermitian_eigen(A: Tensor) -> tuple[Tensor, Tensor]:
    """Return eigenvalues and eigenvectors; see :func:`lowrank_unroll.linalg.native.hermitian_eigen`."""
    values, vectors = A.new_empty(A.shape[:-1], dtype=A.real.dtype), A.new_empty(A.shape)
    _launch("hermitian_eigen", A, values, vectors)
    return values, vectors


def first_derivative(point: Point, loewner: LoewnerMatrix, E: Tensor) -> tuple[Tensor, Tensor]:
    """Return two derivatives; see :func:`lowrank_unroll.linalg.native.first_derivative`."""
    derivative, diagonal = E.new_empty(E.shape), point.S.new_empty(point.S.shape)
    _launch("first_derivative", point.U, point.S, point.Vh, *loewner, E, derivative, diagonal)
    return derivative, diagonal


def _kernel(name: str, A: Tensor) -> Kernel | None:
    m, n = A.shape[-2:]
    if A.device.type != "cuda" or n > WARP or m > MAX_ROWS or A.numel() == 0:
        return None
    return compiled(A.device, SOURCE, KERNELS, N=n, COMPLEX=int(A.is_complex())).get(name)


def _launch(name: str, A: Tensor, *others: Tensor) -> None:
    """Launch a kernel with tensors, the number of matrices, and that of their rows."""
    kernel = _kernel(name, A)
    assert kernel is not None, "the matrices are not supported"  # noqa: S101
    *batch, m, n = A.shape
    count = math.prod(batch)
    blocks = math.ceil(count / (WARP // n))
    multiprocessors = torch.cuda.get_device_properties(A.device).multi_processor_count
    warps = max(1, min(MAX_WARPS, m // MIN_ROWS, WARPS_PER_MULTIPROCESSOR * multiprocessors // blocks))
    tensors = map(contiguous, (A, *others))
    kernel(blocks, warps * WARP, *tensors, count, m)
