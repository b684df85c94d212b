"""The CUDA kernels, run on the CPU by threads that stand for a GPU's: they agree with the same formulas in PyTorch."""

import ctypes
import math
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from lowrank_unroll.linalg import Soft
from lowrank_unroll.linalg.derivatives import Point, derivative_by_values, first_derivative, loewner_matrix, project
from lowrank_unroll.linalg.native.on_gpu import SOURCE

COMPILER = shutil.which("g++")
DOUBLES = {torch.float32: torch.float64, torch.complex64: torch.complex128}
slow = pytest.mark.slow
SHAPES = [
    (7, 9, 5, torch.complex64, 2), (3, 2, 1, torch.float32, 1),  # each takes seconds to compile
    pytest.param(7, 9, 5, torch.float32, 1, marks=slow), pytest.param(2, 4, 2, torch.complex64, 1, marks=slow),
    pytest.param(3, 20, 12, torch.float32, 3, marks=slow), pytest.param(3, 16, 16, torch.complex64, 1, marks=slow),
    pytest.param(2, 40, 27, torch.complex64, 2, marks=slow), pytest.param(2, 32, 32, torch.float32, 1, marks=slow),
]  # fmt: skip

pytestmark = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")


@pytest.fixture(scope="module")
def emulated(tmp_path_factory):
    """The kernels for some columns and a dtype, compiled once each."""
    made = {}

    def kernels(n, dtype):
        if (n, dtype) not in made:
            path = tmp_path_factory.mktemp("kernels") / "kernels.so"
            constants = [f"-DN={n}", f"-DCOMPLEX={int(dtype.is_complex)}", f'-DKERNELS="{SOURCE}"']
            options = ["-O1", "-std=c++20", "-shared", "-fPIC", "-pthread", "-Wno-unknown-pragmas"]
            source = Path(__file__).with_name("warp_emulation.cpp")
            subprocess.run([COMPILER, *options, *constants, source, "-o", path], check=True)
            made[n, dtype] = ctypes.CDLL(str(path))
        return made[n, dtype]

    return kernels


def call(kernel, *arguments):
    """With tensors as addresses."""
    kernel(
        *(
            ctypes.c_void_p(a.data_ptr())
            if isinstance(a, torch.Tensor)
            else a
            if isinstance(a, ctypes.c_int)
            else ctypes.c_longlong(a)
            for a in arguments
        )
    )


def matrices(batch, m, n, dtype):
    """Random ones, of which the first is zero and, if there are enough, the third has ties."""
    A = torch.randn(batch, m, n, dtype=dtype, generator=torch.Generator().manual_seed(0))
    A[0] = 0
    if batch > 2:
        A[2, :, n // 2 :] = A[2, :, :1]
    return A


def unwritten(*shape, dtype=torch.float32):
    return torch.full(shape, torch.nan, dtype=dtype)


def factors(emulated, A, warps):
    batch, m, n = A.shape
    U, S, Vh = unwritten(*A.shape, dtype=A.dtype), unwritten(batch, n), unwritten(batch, n, n, dtype=A.dtype)
    call(emulated(n, A.dtype).emulate_gram_svd, ctypes.c_int(warps), A, U, S, Vh, batch, m)
    return U, S, Vh


@pytest.mark.parametrize(("batch", "m", "n", "dtype", "warps"), SHAPES)
def test_factors(emulated, batch, m, n, dtype, warps):
    A = matrices(batch, m, n, dtype)
    U, S, Vh = factors(emulated, A, warps)
    assert (S - torch.linalg.svdvals(A.to(DOUBLES[dtype]))).abs().max() < 1e-6
    assert ((U * S[:, None]) @ Vh - A).abs().max() < 2e-6
    eye = torch.eye(n)
    assert (Vh @ Vh.mH - eye).abs().max() < 1e-6
    assert (U[1].mH @ U[1] - eye).abs().max() < 1e-6
    assert (S.diff(dim=-1) <= 0).all()


@pytest.mark.parametrize(("batch", "m", "n", "dtype", "warps"), SHAPES)
def test_first_derivative(emulated, batch, m, n, dtype, warps):
    A = matrices(batch, m, n, dtype)
    U, S, Vh = factors(emulated, A, warps)
    E = torch.randn(A.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    point, loewner = Point(A, U, S, Vh), loewner_matrix(Soft(torch.linspace(0.5, 2, batch)), S)
    direction = project(point, E)
    derivative, diagonal = unwritten(*A.shape, dtype=dtype), unwritten(batch, n)
    given = (U, S, Vh, *(tensor.contiguous() for tensor in loewner), E)
    call(emulated(n, dtype).emulate_first_derivative, ctypes.c_int(warps), *given, derivative, diagonal, batch, m)
    assert (derivative - first_derivative(point, loewner, direction)).abs().max() < 2e-6
    assert (diagonal - derivative_by_values(direction)).abs().max() < 2e-6


@pytest.mark.parametrize(("batch", "m", "n", "dtype", "warps"), SHAPES)
def test_eigenvalues(emulated, batch, m, n, dtype, warps):
    A = matrices(batch, m, n, dtype).to(DOUBLES[dtype])
    A = A[:, :n] + A[:, :n].mH if m >= n else A.mH @ A
    values, vectors = unwritten(batch, n, dtype=torch.float64), torch.full_like(A, torch.nan)
    call(emulated(n, dtype).emulate_hermitian_eigen, A, values, vectors, batch, n)
    scale = torch.linalg.matrix_norm(A, 2).max()
    assert (values - torch.linalg.eigvalsh(A)).abs().max() < 1e-13 * scale
    assert (A @ vectors - vectors * values[:, None]).abs().max() < 1e-13 * scale
    assert (vectors.mH @ vectors - torch.eye(n)).abs().max() < 1e-13


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_spoils_its_own_matrix_alone(emulated, bad):
    A = matrices(7, 9, 5, torch.complex64)
    A[3, 2, 1] = bad
    for factor in factors(emulated, A, 2):
        assert factor[3].isnan().all()
        assert factor[torch.arange(7) != 3].isfinite().all()
