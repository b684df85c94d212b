"""C++ for small matrices obeys the laws of what it computes, and agrees with PyTorch; a batch makes no difference."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.autograd import forward_ad
from torch.utils._pytree import tree_map

from lowrank_unroll.linalg import Soft, batches, singular_value_threshold, spectral_function
from lowrank_unroll.linalg.batches import MIN_SHARED_WORK
from lowrank_unroll.linalg.derivatives import (
    Point,
    derivative_by_values,
    first_derivative,
    loewner_matrix,
    project,
    recompose,
)
from lowrank_unroll.linalg.native import cpp_library, on_cpu
from lowrank_unroll.prox import total_variation_step

pytestmark = pytest.mark.skipif(cpp_library.library() is None, reason="there is no C++ compiler")
DTYPES = (torch.float32, torch.complex64)
# Rounding to single precision, of some numbers of the size of the matrix.
ROUNDING = 8 * torch.finfo(torch.float32).eps
sizes = st.tuples(st.integers(1, 5), st.integers(1, 70), st.integers(0, 40))


def matrices(size, dtype, seed=0, rank=None):
    batch, n, more = size
    generator = torch.Generator().manual_seed(seed)
    left = torch.randn(batch, n + more, rank or n, dtype=dtype, generator=generator)
    return left if rank is None else left @ torch.randn(batch, rank, n, dtype=dtype, generator=generator)


def adversarial(n, dtype):
    """Zeros, ties, rank one, wide and clustered spectra."""
    U, V = (
        torch.linalg.qr(torch.randn(n, n, dtype=dtype, generator=torch.Generator().manual_seed(k))).Q for k in (1, 2)
    )
    spectra = [torch.ones(n), torch.logspace(0, -6, n), 1 + 1e-6 * torch.arange(n), (torch.arange(n) < 2).float()]
    return torch.stack([torch.zeros(n, n, dtype=dtype), torch.ones(n, n, dtype=dtype), *[(U * S) @ V for S in spectra]])


def check_factors(A):
    U, S, Vh = on_cpu.gram_svd(A)
    unit = torch.linalg.matrix_norm(A, 2).clamp(min=torch.finfo(torch.float32).tiny / ROUNDING)
    n = A.shape[-1]
    assert (S.diff(dim=-1) <= 0).all()
    assert ((U * S[..., None, :] @ Vh - A).abs().amax((-2, -1)) <= n * ROUNDING * unit).all()
    assert (Vh @ Vh.mH - torch.eye(n)).abs().max() <= n * ROUNDING
    expected = torch.linalg.svdvals(A.to(torch.promote_types(A.dtype, torch.float64)))
    assert ((S - expected).abs().amax(-1) <= ROUNDING * unit).all()
    orthonormal = torch.where((1e-3 * unit[..., None] < S)[..., None], U.mH @ U - torch.eye(n), 0)
    assert orthonormal.abs().max() <= n * 1e-4


@given(sizes, st.sampled_from(DTYPES), st.integers(0, 2**32))
def test_factors(size, dtype, seed):
    check_factors(matrices(size, dtype, seed))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 3, 16, 33, 64, 128, 200])
def test_factors_of_adversarial_spectra(n, dtype):
    check_factors(adversarial(n, dtype))


@given(sizes, st.sampled_from(DTYPES), st.integers(0, 2**32), st.integers(0, 70))
def test_product_of_factors_leaves_out_what_is_shrunk_to_zero(size, dtype, seed, kept):
    A = matrices(size, dtype, seed)
    U, S, Vh = on_cpu.gram_svd(A)
    f = torch.where(torch.arange(size[1]) < kept, S, 0)
    expected = recompose(Point(A, U, S, Vh), f)
    # Were a dropped column multiplied, these would be NaN.
    dropped = torch.where(f == 0, torch.nan, 1)
    Y = on_cpu.recompose(Point(A, U * dropped[..., None, :], S, Vh * dropped[..., :, None]), f)
    torch.testing.assert_close(Y, expected, rtol=0, atol=float(size[1] * ROUNDING * S.max()))


def check_derivative(A, threshold):
    point = Point(A, *on_cpu.gram_svd(A))
    E = torch.randn(A.shape, dtype=A.dtype, generator=torch.Generator().manual_seed(3))
    loewner = loewner_matrix(Soft(threshold), point.S)
    direction = project(point, E)
    expected = first_derivative(point, loewner, direction)
    derivative, diagonal = on_cpu.first_derivative(point, loewner, E)
    atol = A.shape[-1] * ROUNDING * E.abs().max()
    torch.testing.assert_close(derivative, expected, rtol=0, atol=float(atol))
    torch.testing.assert_close(diagonal, derivative_by_values(direction), rtol=0, atol=float(atol))


@given(sizes, st.sampled_from(DTYPES), st.integers(0, 2**32), st.floats(0, 10))
def test_derivative_is_that_of_pytorch(size, dtype, seed, threshold):
    check_derivative(matrices(size, dtype, seed), threshold)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 3, 16, 33, 64, 128])
def test_derivative_at_adversarial_spectra(n, dtype):
    check_derivative(adversarial(n, dtype), 1e-3)


@given(st.integers(1, 20), st.integers(0, 2**32), st.floats(0, 2))
def test_divided_differences_are_those_of_pytorch(n, seed, threshold):
    S = torch.rand(3, n, generator=torch.Generator().manual_seed(seed)).sort(-1, descending=True).values
    S[:, n // 2 :] = S[:, n // 2, None]
    ours = Soft(threshold).divided_differences(S)
    with_graph = Soft(threshold).divided_differences(S.clone().requires_grad_())
    torch.testing.assert_close(ours, with_graph.detach(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [9, 33, 80])
def test_a_matrix_is_the_same_in_every_batch(n, dtype):
    """Also in one that threads share."""
    count = MIN_SHARED_WORK // n**3 + 3
    A, G = (matrices((count, n, 0), dtype, seed).requires_grad_() for seed in (0, 1))

    def shrunk(A, G):
        Y = singular_value_threshold(A, 2.0)
        return Y, torch.autograd.grad(Y, A, G)[0]

    together = shrunk(A, G)
    for index in (0, 1, count // 2, count - 1):
        for one, other in zip(shrunk(A[index], G[index]), together, strict=True):
            assert torch.equal(one, other[index])
    for one, other in zip(on_cpu.gram_svd(A.detach()[5:7]), on_cpu.gram_svd(A.detach()), strict=True):
        assert torch.equal(one, other[5:7])


@pytest.mark.parametrize("view", ["conjugate", "transposed", "every second", "negative", "several dims", "empty"])
def test_views(view):
    A = matrices((6, 9, 3), torch.complex64)
    views = {
        "conjugate": A.conj(),
        "transposed": A.mT.contiguous().mT,
        "every second": A[::2, ::2, ::2],
        "negative": A.conj().imag,
        "several dims": A.reshape(2, 3, 12, 9).transpose(0, 1),
        "empty": A[:0],
    }
    A = views[view]
    plain = A.resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
    for one, other in zip(on_cpu.gram_svd(A), on_cpu.gram_svd(plain), strict=True):
        assert torch.equal(one, other)
    point = Point(plain, *on_cpu.gram_svd(plain))
    loewner = loewner_matrix(Soft(1.0), point.S)
    of_view, of_plain = (on_cpu.first_derivative(point, loewner, E)[0] for E in (A, plain))
    assert torch.equal(of_view, of_plain)


@pytest.mark.parametrize("n", [1, 6, 40])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_is_refused_by_its_index(bad, dtype, n):
    A = matrices((20, n, 2), dtype)
    A[13, 1, 0] = bad
    with pytest.raises(ValueError, match=r"batch index \[\(13,\)\] holds NaN or infinity"):
        singular_value_threshold(A, 0.1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_defaults_of_others_change_nothing(dtype):
    A, threshold = matrices((6, 9, 3), dtype), torch.full((6,), 0.5)
    expected = shrunk_with_gradients(A, threshold)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            ours = shrunk_with_gradients(A, threshold)
    finally:
        torch.set_default_dtype(torch.float32)
    for one, other in zip(ours, expected, strict=True):
        assert torch.equal(one, other)


def test_a_threshold_that_is_still_to_be_negated():
    A, plain = matrices((6, 9, 3), torch.float32), torch.full((6,), 0.5)
    negated = (0 - 1j * plain).conj().imag
    assert negated.is_neg()
    for one, other in zip(shrunk_with_gradients(A, negated), shrunk_with_gradients(A, plain), strict=True):
        assert torch.equal(one, other)


def shrunk_with_gradients(A, threshold):
    A, threshold = A.detach().requires_grad_(), threshold.detach().requires_grad_()
    Y = singular_value_threshold(A, threshold)
    return Y.detach(), *torch.autograd.grad(Y.abs().square().sum(), (A, threshold))


class Wrapper(torch.Tensor):
    """A tensor without memory of its own, as those of torch.distributed are."""

    @staticmethod
    def __new__(cls, inner):
        made = torch.Tensor._make_wrapper_subclass(cls, inner.shape, dtype=inner.dtype, strides=inner.stride())
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        args, kwargs = tree_map(lambda given: given.inner if isinstance(given, cls) else given, (args, kwargs or {}))
        return tree_map(lambda made: cls(made) if isinstance(made, torch.Tensor) else made, function(*args, **kwargs))


class Named(torch.Tensor):
    """A tensor with memory, and methods of its own."""


class TestTensorsThatAreNotPlain:
    def test_wrappers_go_to_pytorch(self):
        A = matrices((4, 9, 3), torch.float32)
        wrapped = Wrapper(A).requires_grad_()
        Y = singular_value_threshold(wrapped, 0.5)
        gradient = torch.autograd.grad(Y.square().sum(), wrapped)[0]
        expected = shrunk_with_gradients(A, torch.full((4,), 0.5))[:2]
        for one, other in zip((Y.detach().inner, gradient.inner), expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("kind", [torch.nn.Parameter, lambda A: A.as_subclass(Named)])
    def test_those_with_memory_are_shrunk_all_the_same(self, kind):
        A = matrices((4, 9, 3), torch.float32)
        Y = singular_value_threshold(kind(A), 0.5).detach().as_subclass(torch.Tensor)
        torch.testing.assert_close(Y, singular_value_threshold(A, 0.5), rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_zeros_without_memory(self, dtype):
        zeros = torch._efficientzerotensor((4, 9, 6), dtype=dtype)
        assert not singular_value_threshold(zeros, 0.5).any()
        A = matrices((4, 6, 3), dtype).requires_grad_()
        assert not torch.autograd.grad(singular_value_threshold(A, 0.5), A, zeros)[0].any()

    def test_a_loewner_matrix_of_another_shape_goes_to_pytorch(self):
        class Shared(Soft):
            def divided_differences(self, S):
                return torch.ones(S.shape[-1], S.shape[-1], dtype=S.dtype)

        A = matrices((4000, 3, 2), torch.float32).requires_grad_()
        gradient = torch.autograd.grad(spectral_function(A, Shared(0.0)).sum(), A)[0]
        torch.testing.assert_close(gradient, torch.ones_like(A), rtol=1e-5, atol=1e-5)


def test_no_memory_is_an_error_of_python():
    columns = 2**23  # whose Gram matrix is larger than the address space
    A = torch.zeros(1, columns)
    arguments = (A.data_ptr(), columns, columns, 1, False, *[A.data_ptr()] * 3, 1, 1, columns)
    with pytest.raises(MemoryError, match="not enough memory for compiled code"):
        cpp_library.library().gram_svd_real(*arguments)


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning", "ignore:.torch.jit.trace. is deprecated")
@pytest.mark.parametrize("dtype", [*DTYPES, torch.float64])
@pytest.mark.parametrize("relative", [False, True])
def test_what_is_traced_computes_anew(dtype, relative):
    first, second = (matrices((4, 9, 3), dtype, seed).requires_grad_() for seed in (0, 1))

    def shrunk(A):
        return singular_value_threshold(A, 0.3, relative=relative)

    traced = torch.jit.trace(shrunk, first)
    for one, other in zip(gradient_of(traced, second), gradient_of(shrunk, second), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def gradient_of(function, A):
    Y = function(A)
    return Y.detach(), torch.autograd.grad(Y.abs().square().sum(), A)[0]


@given(st.tuples(*[st.integers(1, 5)] * 3, st.integers(1, 150)), st.sampled_from(DTYPES), st.integers(0, 2**32))
def test_a_step_of_total_variation_is_that_of_pytorch(shape, dtype, seed):
    """With a graph, PyTorch computes it."""
    generator = torch.Generator().manual_seed(seed)
    series, dual = (torch.randn(size, dtype=dtype, generator=generator) for size in (shape, (3, *shape)))
    weights = torch.rand(3, shape[0], generator=generator)
    weights[:, 0] *= torch.randint(2, (3,), generator=generator)
    ours = total_variation_step(series, dual, weights)
    with_graph = total_variation_step(series.clone().requires_grad_(), dual, weights)
    for one, other in zip(ours, with_graph, strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_in_forward_mode_a_step_of_total_variation_is_left_to_pytorch(dtype):
    """Compiled code would drop the tangents."""
    generator = torch.Generator().manual_seed(0)
    shape = (2, 3, 5, 4)
    (series, dual), (d_series, d_dual) = (
        [torch.randn(size, dtype=dtype, generator=generator) for size in (shape, (3, *shape))] for _ in range(2)
    )
    weights, step = torch.rand(3, 2, generator=generator), 1e-3
    with forward_ad.dual_level():
        pairs = ((series, d_series), (dual, d_dual))
        results = total_variation_step(*[forward_ad.make_dual(*pair) for pair in pairs], weights)
        tangents = [forward_ad.unpack_dual(result).tangent for result in results]
    after, before = (
        total_variation_step(series + sign * step * d_series, dual + sign * step * d_dual, weights) for sign in (1, -1)
    )
    for tangent, one, other in zip(tangents, after, before, strict=True):
        quotient = (one - other) / (2 * step)
        assert (tangent - quotient).norm() <= 0.02 * quotient.norm()


def test_a_step_of_total_variation_by_several_threads(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    series, dual = (torch.randn(*size, 2, 7, 40, 30, generator=generator) for size in ((), (3,)))
    arguments = series, dual, torch.rand(3, 2, generator=generator)
    whole = total_variation_step(*arguments)
    monkeypatch.setattr(batches, "_threads", lambda A, count, work: 4)
    shared = total_variation_step(*arguments)
    assert all(torch.equal(one, other) for one, other in zip(whole, shared, strict=True))


def test_a_step_of_total_variation_keeps_nan_and_zeros():
    series = torch.zeros(1, 2, 3, 4, dtype=torch.complex64)
    after, dual = total_variation_step(series, torch.zeros(3, *series.shape, dtype=series.dtype), torch.ones(3, 1))
    assert not after.any()
    assert not dual.any()
    series[0, 0, 0, 0] = torch.nan
    after, _ = total_variation_step(series, dual, torch.ones(3, 1))
    assert after[0, 0, 0, 0].isnan()
    assert after[0, 1, 2, 3] == 0
