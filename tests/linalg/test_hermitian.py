"""Eigenvalues of many small matrices at once are those of LAPACK, and where nothing compiles, LAPACK's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.linalg import LinAlgError

from lowrank_unroll.linalg import singular_value_threshold
from lowrank_unroll.linalg.native import cpp_library, hermitian_eigen, on_cpu

pytestmark = pytest.mark.skipif(cpp_library.library() is None, reason="there is no C++ compiler")
DTYPES = (torch.float64, torch.complex128)


def hermitian_matrices(count, n, dtype, seed=0, rank=None):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(count, n, rank or 2 * n, dtype=dtype, generator=generator)
    return factor @ factor.mH


def check(A):
    """By the laws of eigenvalues, and beside LAPACK."""
    values, vectors = hermitian_eigen(A)
    n = A.shape[-1]
    unit = torch.linalg.matrix_norm(A, 2).clamp(min=torch.finfo(torch.float64).tiny)[..., None]
    rounding = 4 * n * torch.finfo(torch.float64).eps
    assert (values.diff(dim=-1) >= 0).all()
    assert (vectors.mH @ vectors - torch.eye(n, dtype=A.dtype)).abs().max() < rounding
    residual = A @ vectors - vectors * values[..., None, :]
    assert (residual.abs().amax(-2) / unit).max() < rounding
    assert ((values - torch.linalg.eigvalsh(A)).abs() / unit).max() < rounding


@given(st.integers(1, 128), st.integers(1, 20), st.sampled_from(DTYPES), st.integers(0, 2**32))
def test_they_are_those_of_lapack(n, count, dtype, seed):
    check(hermitian_matrices(count, n, dtype, seed) - n * torch.eye(n, dtype=dtype))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 3, 16, 33, 200])
def test_ties_zeros_and_wide_spectra(n, dtype):
    """Each lane of a group ends at another step."""
    grades = torch.logspace(0, -12, n, dtype=torch.float64)
    graded = hermitian_matrices(8, n, dtype, 1) * grades[:, None] * grades
    check(
        torch.cat(
            [
                torch.zeros(1, n, n, dtype=dtype),
                torch.eye(n, dtype=dtype)[None],
                torch.ones(1, n, n, dtype=dtype),
                torch.diag(torch.arange(n).double()).to(dtype)[None],
                hermitian_matrices(3, n, dtype, rank=1),
                hermitian_matrices(3, n, dtype, rank=max(1, n // 2)),
                graded,
            ]
        )
    )


@pytest.mark.parametrize("size", [1e-60, 1e-100, 1e-140, 1e-170, 1e-250])
def test_a_tiny_part_does_not_keep_it_from_ending(size):
    A = hermitian_matrices(8, 12, torch.complex128)
    A[:, 5:] *= size
    A[:, :, 5:] *= size
    check((A + A.mH) / 2)


@pytest.mark.parametrize("n", [1, 4, 40])
@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_that_have_lost_digits(dtype, n):
    values, vectors = hermitian_eigen(1e-310 * torch.eye(n, dtype=dtype))
    torch.testing.assert_close(1e300 * values, torch.full((n,), 1e-10, dtype=torch.float64), rtol=1e-9, atol=0)
    assert (vectors.mH @ vectors - torch.eye(n)).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64, *DTYPES])
@pytest.mark.parametrize("shape", [(3, 0, 0), (0, 4, 4), (2, 4, 4)])
def test_what_compiled_code_does_not_take_is_lapacks(shape, dtype):
    A = torch.randn(shape, dtype=dtype)
    A = A + A.mH
    values, vectors = hermitian_eigen(A)
    torch.testing.assert_close((vectors * values[..., None, :]) @ vectors.mH, A)
    torch.testing.assert_close(values, torch.linalg.eigvalsh(A))


@pytest.mark.parametrize("size", [1e-300, 1e-150, 1e150, 1e300])
def test_nothing_over_or_underflows(size):
    A = hermitian_matrices(8, 12, torch.complex128)
    values, vectors = hermitian_eigen(size * A)
    expected, same = hermitian_eigen(A)
    torch.testing.assert_close(values / size, expected)
    torch.testing.assert_close((vectors * vectors.conj()).real, (same * same.conj()).real, atol=1e-10, rtol=0)


def test_a_matrix_is_the_same_in_every_batch():
    A = hermitian_matrices(20, 9, torch.complex128)
    together = hermitian_eigen(A)
    for number in range(20):
        for one, other in zip(hermitian_eigen(A[number]), together, strict=True):
            assert torch.equal(one, other[number])


def test_batches_of_several_dims_and_conjugate_views():
    A = hermitian_matrices(12, 5, torch.complex128).reshape(3, 4, 5, 5)
    values, vectors = hermitian_eigen(A.conj())
    assert (values.shape, vectors.shape) == ((3, 4, 5), (3, 4, 5, 5))
    residual = A.conj() @ vectors - vectors * values[..., None, :]
    assert residual.abs().max() < 1e-12 * A.abs().max()


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_is_refused(bad, dtype):
    with pytest.raises(LinAlgError):
        hermitian_eigen(torch.full((2, 1, 1), bad, dtype=dtype))
    A = hermitian_matrices(20, 6, dtype)
    A[13, 4, 2] = bad
    with pytest.raises(LinAlgError):
        hermitian_eigen(A)
    matrices = torch.randn(400, 24, 16)
    matrices[7, 0, 0] = bad
    with pytest.raises(ValueError, match=r"batch index \[\(7,\)\] holds NaN or infinity"):
        singular_value_threshold(matrices, 0.1, relative=True)


def shrunk():
    A = torch.randn(400, 24, 16, generator=torch.Generator().manual_seed(2)).requires_grad_()
    Y = singular_value_threshold(A, 0.2, relative=True)
    Y.square().sum().backward()
    return Y.detach(), A.grad


def test_shrinkage_is_the_same_without_it(monkeypatch):
    ours = shrunk()
    monkeypatch.setattr(on_cpu, "library", lambda: None)
    for one, other in zip(ours, shrunk(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
