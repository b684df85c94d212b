"""The exact gradient: its accuracy on every kind of spectrum, shrinkages, decompositions, and how it composes."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import mpmath
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lowrank_unroll.linalg import (
    Firm,
    Hard,
    OptimalShrinker,
    SchattenP,
    Shrinkage,
    Soft,
    Truncation,
    WeightedSoft,
    singular_value_threshold,
    spectral_function,
    spectral_norm,
    svd,
    tensor_singular_value_threshold,
)
from lowrank_unroll.linalg.batches import CHUNK_BYTES, map_threads
from lowrank_unroll.linalg.decomposition import gram_svd
from lowrank_unroll.linalg.native import hermitian_eigen, reference

DOUBLES = [torch.float64, torch.complex128]
SINGLES = [torch.float32, torch.complex64]


def number(value):
    return torch.tensor(value, dtype=torch.float64, requires_grad=True)


@dataclass(frozen=True)
class Ridge(Shrinkage):
    """A shrinkage as a user adds one: only f is given."""

    strength: Tensor | float

    def values(self, S):
        return S**2 / (1 + self.strength[..., None] * S)


@dataclass(frozen=True)
class Multiple(Shrinkage):
    factor: Tensor | float

    def values(self, S):
        return self.factor[..., None] * S


# Each shrinkage as a function of its differentiable parameters, and their values.
SHRINKAGES = {
    "soft": (Soft, (0.7,)),
    "firm": (Firm, (0.4, 2.6)),
    "hard": (lambda: Hard(0.7), ()),
    "truncation": (lambda: Truncation(2), ()),
    "weighted": (WeightedSoft, ([0.1, 0.5, 0.9],)),
    "schatten": (SchattenP, (0.3, 0.5)),
    "schatten 1": (lambda strength: SchattenP(strength, 1.0), (0.3,)),
    "optimal": (lambda noise: OptimalShrinker(noise, (3, 5)), (0.2,)),
    "user's own": (Ridge, (0.3,)),
}
SMOOTH_AT_TIES = {name: value for name, value in SHRINKAGES.items() if name != "weighted"}


def of_real_and_complex_matrices(names):
    """A shrinkage sees singular values, which are real, so that complex matrices can do with few of them."""
    few = {"soft", "user's own"}
    return [(name, torch.float64) for name in names] + [
        pytest.param(name, torch.complex128, marks=[] if name in few else pytest.mark.slow) for name in names
    ]


def orthogonal(n, dtype):
    return torch.linalg.qr(torch.randn(n, n, dtype=dtype)).Q


def with_spectrum(values, dtype=torch.float64, rows=6):
    k = len(values)
    S = torch.tensor(values, dtype=torch.float64).to(dtype)
    return (orthogonal(rows, dtype)[:, :k] * S) @ orthogonal(k, dtype)


HADAMARD = torch.tensor([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]], dtype=torch.float64)
SPECTRA = {
    "generic": [4.1, 3.2, 1.9, 0.4],
    **{f"gap {gap:.0e}": [3 + gap, 3.0, 3 - gap, 0.5] for gap in (1e-1, 1e-2, 1e-4, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12)},
    **{f"tie of {k}": [3.0] * k + [1.0] * (4 - k) for k in (2, 3, 4)},
    "tie below the threshold": [3.0, 0.5, 0.5, 0.5],
    "rank two": [3.0, 2.0, 0.0, 0.0],
    "rank one": [3.0, 0.0, 0.0, 0.0],
    "zero": [0.0] * 4,
    "condition 1e8": [3.0, 1.0, 1e-4, 3e-8],
}


def gradient(A, G, threshold):
    A = A.detach().clone().requires_grad_()
    (result,) = torch.autograd.grad(singular_value_threshold(A, threshold), A, G)
    return result


class TestAccuracy:
    @pytest.mark.parametrize("scale", [1.0, 1e-30, 1e15])
    @pytest.mark.parametrize("dtype", SINGLES)
    @pytest.mark.parametrize("spectrum", SPECTRA)
    @pytest.mark.parametrize("rows", [4, 32])
    def test_single_precision(self, spectrum, dtype, scale, rows):
        double = torch.promote_types(dtype, torch.float64)
        A = (scale * with_spectrum(SPECTRA[spectrum], double, rows)).to(dtype)
        G = torch.randn(A.shape, dtype=dtype)
        ours = gradient(A, G, 0.7 * scale)
        reference = gradient(A.to(double), G.to(double), 0.7 * scale)
        assert (ours - reference).norm() <= 5e-6 * G.norm()

    @pytest.mark.parametrize("dtype", SINGLES)
    @pytest.mark.parametrize("threshold", [0.0, 10.0])
    @pytest.mark.parametrize("spectrum", SPECTRA)
    def test_no_threshold_and_one_above_every_value(self, spectrum, threshold, dtype):
        A = with_spectrum(SPECTRA[spectrum], dtype)
        G = torch.randn(A.shape, dtype=dtype)
        result = gradient(A, G, threshold * max(SPECTRA[spectrum]) + 1e-3 * (threshold > 0))
        if threshold > 0:
            assert not result.any()
        elif min(SPECTRA[spectrum]) > 0.1:
            assert (result - G).norm() <= 5e-6 * G.norm()
        assert result.norm() <= G.norm() * (1 + 1e-6)

    @pytest.mark.parametrize("steps", [-1, 0, 1])
    @pytest.mark.parametrize("dtype", [*SINGLES, *DOUBLES])
    @pytest.mark.parametrize("spectrum", SPECTRA)
    def test_threshold_within_one_ulp_of_a_singular_value(self, spectrum, dtype, steps):
        A = with_spectrum(SPECTRA[spectrum], dtype)
        value = torch.linalg.svdvals(A)[1]
        threshold = torch.nextafter(value, value + steps).clamp(min=0)
        G = torch.randn(A.shape, dtype=dtype)
        result = gradient(A, G, threshold)
        assert result.isfinite().all()
        assert result.norm() <= G.norm() * (1 + 1e-5)

    @pytest.mark.parametrize("spectrum", SPECTRA)
    def test_double_precision_against_fifty_digits(self, spectrum):
        A, G = with_spectrum(SPECTRA[spectrum], rows=5), torch.randn(5, 4, dtype=torch.float64)
        with mpmath.workdps(50):
            reference = torch.tensor(exact_gradient(A.tolist(), G.tolist(), mpmath.mpf("0.7")), dtype=torch.float64)
        assert (gradient(A, G, 0.7) - reference).norm() <= 1e-12 * G.norm()

    @pytest.mark.parametrize("spectrum", SPECTRA)
    def test_a_multiple_of_the_identity_is_linear_in_the_matrix(self, spectrum):
        A = with_spectrum(SPECTRA[spectrum]).requires_grad_()
        G = torch.randn_like(A)
        (result,) = torch.autograd.grad(spectral_function(A, Multiple(0.25)), A, G)
        assert torch.allclose(result, 0.25 * G, atol=1e-12)

    def test_orthogonal_and_hadamard(self):
        for A in (orthogonal(4, torch.float64), HADAMARD):
            scale = torch.linalg.matrix_norm(A, 2)
            G = torch.randn(4, 4, dtype=torch.float64)
            # A = s Q: the Hermitian part of Q^H G passes, the other is scaled by the shrinkage.
            Q = A / scale
            M = Q.mT @ G
            expected = Q @ ((M + M.mT) / 2 + (1 - 0.7 / scale) * (M - M.mT) / 2)
            assert (gradient(A, G, 0.7) - expected).norm() <= 1e-12 * G.norm()


def exact_gradient(A, G, threshold):
    """The gradient of soft thresholding at a tall matrix, from the SVD in the current precision of mpmath."""
    A, G = mpmath.matrix(A), mpmath.matrix(G)
    U, S, Vh = mpmath.svd_r(A)
    n = A.cols
    f = [max(s - threshold, mpmath.mpf(0)) for s in S]
    GV = G * Vh.T
    M = U.T * GV
    core = mpmath.matrix(n, n)
    for i in range(n):
        for j in range(n):
            gap, total = S[i] - S[j], S[i] + S[j]
            difference = (f[i] - f[j]) / gap if abs(gap) > mpmath.mpf(10) ** -30 else mpmath.mpf(S[i] > threshold)
            ratio = (f[i] + f[j]) / total if total > 0 else mpmath.mpf(0)
            core[i, j] = difference * (M[i, j] + M[j, i]) / 2 + ratio * (M[i, j] - M[j, i]) / 2
    scale = mpmath.diag([f[i] / S[i] if S[i] > 0 else mpmath.mpf(0) for i in range(n)])
    result = U * core * Vh + (GV - U * M) * scale * Vh
    return [[float(result[i, j]) for j in range(n)] for i in range(result.rows)]


class TestShrinkages:
    @pytest.mark.slow
    @pytest.mark.parametrize("shape", [(5, 3), (3, 4), (2, 3, 3)])
    @pytest.mark.parametrize("dtype", DOUBLES)
    @pytest.mark.parametrize("name", SHRINKAGES)
    def test_first_and_second_derivatives(self, name, dtype, shape):
        make, values = SHRINKAGES[name]
        A = well_conditioned(shape, dtype).requires_grad_()
        parameters = [number(value) for value in values]

        def function(A, *parameters):
            return spectral_function(A, make(*parameters))

        assert torch.autograd.gradcheck(function, (A, *parameters), check_forward_ad=True)
        assert torch.autograd.gradgradcheck(function, (A, *parameters))

    @pytest.mark.parametrize(("name", "dtype"), of_real_and_complex_matrices(SMOOTH_AT_TIES))
    @pytest.mark.parametrize("rows", [3, pytest.param(5, marks=pytest.mark.slow)])
    def test_first_and_second_derivatives_at_ties(self, name, dtype, rows):
        make, values = SHRINKAGES[name]
        A = with_spectrum([2.0, 2.0, 1.1], dtype, rows).requires_grad_()
        parameters = [number(value) for value in values]
        # Undefined gradients: as without ties. Of few rows, along random directions; of more, along all.
        how = {"check_undefined_grad": False, "fast_mode": rows == 3}
        for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
            assert check(lambda A, *p: spectral_function(A, make(*p)), (A, *parameters), **how)

    @pytest.mark.parametrize("scale", [1e-20, 1e-8, 1e8, 1e15])
    def test_second_derivatives_do_not_depend_on_the_unit(self, scale):
        A, G, D = torch.randn(3, 5, 4)

        def product(unit, dtype):
            matrix = (unit * A.double()).to(dtype).requires_grad_()
            Y = singular_value_threshold(matrix, 0.8 * unit)
            (first,) = torch.autograd.grad(Y, matrix, G.to(dtype), create_graph=True)
            return torch.autograd.grad(first, matrix, D.to(dtype))[0].double() * unit

        reference = product(1.0, torch.float64)
        assert (product(scale, torch.float32) - reference).norm() <= 1e-5 * reference.norm()

    @pytest.mark.slow
    def test_relative_thresholds_have_second_derivatives(self):
        A, fraction = well_conditioned((2, 3, 2), torch.complex128).requires_grad_(), number([0.2, 0.3])
        assert torch.autograd.gradgradcheck(lambda A, t: singular_value_threshold(A, t, relative=True), (A, fraction))

    @pytest.mark.parametrize("dtype", [*SINGLES, *DOUBLES])
    @pytest.mark.parametrize(
        "shrinkage",
        [
            Soft(0.0),
            Firm(0.0),
            Hard(0.0),
            SchattenP(0.0),
            SchattenP(0.0, 1.0),
            WeightedSoft(torch.zeros(4)),
            Truncation(4),
            OptimalShrinker(0.0, (3, 4)),
        ],
        ids=lambda shrinkage: type(shrinkage).__name__,
    )
    def test_what_takes_nothing_off_is_the_identity_and_so_is_its_gradient(self, shrinkage, dtype):
        """Also where singular values are exactly zero."""
        S = torch.tensor([[3.0, 1.0, 1e-6, 0.0], [2.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], dtype=dtype)
        for zeros in (0, 2):
            A = torch.cat([torch.zeros(3, zeros, 4, dtype=dtype), S.diag_embed()], 1).requires_grad_()
            G = torch.randn(A.shape, dtype=dtype)
            Y = spectral_function(A, shrinkage)
            torch.testing.assert_close(Y, A, rtol=1e-6, atol=1e-7)
            torch.testing.assert_close(torch.autograd.grad(Y, A, G)[0], G, rtol=1e-5, atol=1e-5)

    @pytest.mark.parametrize("differences", [Soft(0.0), Hard(0.0), WeightedSoft(torch.zeros(3))])
    def test_slopes_at_zero_are_those_of_the_identity_in_every_precision(self, differences):
        for dtype in (torch.float32, torch.float64):
            assert (differences.divided_differences(torch.tensor([2.0, 0.0, 0.0], dtype=dtype)) == 1).all()

    @given(st.floats(0, 5), st.floats(0.05, 2), st.floats(0.1, 1))
    def test_schatten_p_minimises_its_objective(self, s, strength, p):
        f = SchattenP(torch.tensor(strength, dtype=torch.float64), torch.tensor(p, dtype=torch.float64))
        x = f.values(torch.tensor([s], dtype=torch.float64))
        candidates = torch.cat([x, torch.linspace(0, 6, 6001, dtype=torch.float64)])
        objective = (candidates - s).square() / 2 + strength * candidates**p
        assert objective[0] <= objective.min() + 1e-9

    def test_limits_coincide(self):
        A = torch.randn(3, 6, 4, dtype=torch.float64)
        soft = spectral_function(A, Soft(0.6))
        assert torch.allclose(spectral_function(A, WeightedSoft(torch.full((4,), 0.6))), soft, atol=1e-6)
        assert torch.allclose(spectral_function(A, SchattenP(0.6, 1.0)), soft)
        assert torch.allclose(spectral_function(A, Firm(0.6, 1e9)), soft, atol=1e-7)
        assert torch.allclose(spectral_function(A, Firm(0.6, 1.0001)), spectral_function(A, Hard(0.6)), atol=1e-9)
        assert torch.allclose(spectral_function(A, Truncation(4)), A)

    def test_truncation_is_the_nearest_matrix_of_its_rank(self):
        A = torch.randn(6, 4, dtype=torch.float64)
        nearest = spectral_function(A, Truncation(2))
        assert torch.linalg.matrix_rank(nearest) == 2
        assert torch.allclose((A - nearest).norm(), torch.linalg.svdvals(A)[2:].norm())

    def test_one_threshold_per_matrix(self):
        A, thresholds = torch.randn(2, 3, 5, 4), torch.rand(3)
        together = singular_value_threshold(A, thresholds)
        for index, threshold in enumerate(thresholds):
            assert torch.allclose(together[:, index], singular_value_threshold(A[:, index], threshold), atol=1e-6)


def well_conditioned(shape, dtype):
    *batch, m, n = shape
    k = min(m, n)
    values = torch.tensor([2.3, 1.6, 1.05][:k]).double()
    U, V = (torch.linalg.qr(torch.randn(*batch, side, k, dtype=dtype)).Q for side in (m, n))
    return (U * values) @ V.mH


class TestDecompositions:
    @given(
        st.integers(1, 4), st.integers(1, 5), st.sampled_from([1, 4, 9]), st.floats(0.05, 0.9), st.sampled_from(SINGLES)
    )
    def test_of_single_precision_is_that_of_double(self, batch, n, aspect, fraction, dtype):
        """Each has a decomposition of its own."""
        A, G = torch.randn(2, batch, aspect * n, n, dtype=dtype).unbind()
        results = []
        for precision in (dtype, torch.promote_types(dtype, torch.float64)):
            a = A.to(precision).requires_grad_()
            Y = singular_value_threshold(a, fraction, relative=True)
            results.append((Y.detach(), torch.autograd.grad(Y, a, G.to(precision))[0]))
        (Y, gA), (expected, expected_gradient) = results
        assert (Y - expected).norm() <= 1e-6 * A.norm()
        # The part of a relative threshold's gradient grows with 1 / gap at the top: room for it.
        assert (gA - expected_gradient).norm() <= 1e-4 * G.norm()

    @pytest.mark.parametrize("threshold", [0.0, 1e-9, 1e-7, 2e-5, 5e-5, 3e-4])
    @pytest.mark.parametrize(
        "spectrum", [[1, 0.3, 0.02, 1e-3, 5e-4], [1, 1e-2, 1e-4, 1e-5], [1, 1e-6, 1e-6], [1, 1e-5, 0]]
    )
    @pytest.mark.parametrize("dtype", SINGLES)
    def test_small_singular_values_are_kept_in_full_precision(self, dtype, spectrum, threshold):
        """Down to 1e-6 of the largest; the SVD in single precision leaves a relative error of 1e-1 there."""
        errors = []
        for _ in range(10):
            A = with_spectrum(spectrum, dtype, 9).requires_grad_()
            double = A.detach().to(torch.promote_types(dtype, torch.float64)).requires_grad_()
            G = torch.randn_like(A)
            shrunk, exact = (singular_value_threshold(X, threshold) for X in (A, double))
            assert (shrunk - exact).norm() < 5e-7
            (ours,), (theirs,) = (torch.autograd.grad(Y, X, G.to(X)) for Y, X in ((shrunk, A), (exact, double)))
            errors.append((ours - theirs).norm() / G.norm())
        kept_zeros = 0 in spectrum and threshold < 1e-7  # whether rounding is above the threshold decides there
        assert kept_zeros or (torch.stack(errors).mean() < 5e-6 and max(errors) < 2e-5)

    @pytest.mark.parametrize("dtype", [*SINGLES, *DOUBLES])
    @pytest.mark.parametrize("shape", [(3, 4, 5), (9, 2), (300, 40)])
    def test_spectral_norm(self, shape, dtype):
        A = torch.randn(shape, dtype=dtype, requires_grad=True)
        norm, expected = spectral_norm(A), torch.linalg.matrix_norm(A, 2)
        torch.testing.assert_close(norm, expected)
        for one, other in zip(*(torch.autograd.grad(value.sum(), A) for value in (norm, expected)), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 if dtype in SINGLES else 1e-9)

    def test_spectral_norm_of_nothing(self):
        assert spectral_norm(torch.ones(2, 0, 3)).tolist() == [0, 0]
        assert spectral_norm(torch.ones(0, 3, 3)).shape == (0,)

    def test_singular_values_descend_also_where_rounding_decides(self):
        A = torch.stack([with_spectrum([1.0, 3e-8, 2.5e-8, 2e-8, 0.0], torch.float32, 9) for _ in range(100)])
        for factors in (gram_svd, partial(reference.gram_svd, hermitian_eigen=hermitian_eigen)):
            assert (factors(A)[1].diff(dim=-1) <= 0).all()

    def test_a_batch_shared_among_threads_is_that_of_one(self):
        A = torch.randn(5, 7, 40, 30)
        together = singular_value_threshold(A, 2.0)
        for i in range(5):
            for j in range(7):
                assert torch.allclose(together[i, j], singular_value_threshold(A[i, j], 2.0), atol=1e-5)

    def test_the_gradient_of_a_batch_worked_through_in_parts_is_that_of_each_matrix(self):
        A, G = torch.randn(2, 3, 2, 160, 160, dtype=torch.float64).unbind(2)
        A, threshold = A.requires_grad_(), torch.rand(2, 3, dtype=torch.float64, requires_grad=True)
        assert A.nbytes > CHUNK_BYTES
        whole = torch.autograd.grad(singular_value_threshold(A, threshold), (A, threshold), G)
        for index in ((i, j) for i in range(2) for j in range(3)):
            Y = singular_value_threshold(A[index], threshold[index])
            gA, gthreshold = torch.autograd.grad(Y, (A, threshold), G[index])
            assert torch.allclose(whole[0][index], gA[index], atol=1e-11)
            assert torch.allclose(whole[1][index], gthreshold[index])

    def test_other_threads_keep_their_number_of_threads(self):
        with ThreadPoolExecutor(1) as before:
            expected = before.submit(torch.get_num_threads).result()
        singular_value_threshold(torch.randn(400, 32, 32), 2.0)
        with ThreadPoolExecutor(1) as after:
            assert after.submit(torch.get_num_threads).result() == expected

    def test_each_of_its_threads_keeps_to_one_core(self):
        # More would start OpenMP workers by the dozen, whose mere number slows all other decompositions of the process.
        threads = []

        def decomposition(A):
            threads.append((A + A, torch.get_num_threads())[1])
            return (A,)

        map_threads(decomposition, torch.randn(400, 32, 32))
        assert threads == [1] * torch.get_num_threads()


FUNCTIONS = {
    "threshold": lambda A: singular_value_threshold(A, 0.5),
    "relative": lambda A: singular_value_threshold(A, 0.5, relative=True),
    "ridge": lambda A: spectral_function(A, Ridge(0.5)),
    "norm": spectral_norm,
    "U": lambda A: svd(A)[0],
    "S": lambda A: svd(A)[1],
    "Vh": lambda A: svd(A)[2],
    "tensor": lambda A: tensor_singular_value_threshold(A.expand(3, *A.shape[-2:]), 0.5),
}


class TestComposition:
    def test_torch_func(self):
        A, threshold = torch.randn(3, 5, 4, dtype=torch.float64), torch.rand(3, dtype=torch.float64)

        def loss(A, threshold):
            return singular_value_threshold(A, threshold).square().sum()

        batched = torch.func.vmap(torch.func.grad(loss, argnums=(0, 1)))(A, threshold)
        for index in range(3):
            a, t = A[index].clone().requires_grad_(), threshold[index].clone().requires_grad_()
            for ours, theirs in zip(batched, torch.autograd.grad(loss(a, t), (a, t)), strict=True):
                assert torch.allclose(ours[index], theirs)
        jacobians = [transform(lambda A: singular_value_threshold(A, 0.5))(A[0]) for transform in
                     (torch.func.jacrev, torch.func.jacfwd)]  # fmt: skip
        assert torch.allclose(*jacobians)
        hessian = torch.func.jacrev(torch.func.jacrev(lambda A: loss(A, 0.5)))(A[0])
        assert torch.allclose(hessian, hessian.movedim((0, 1), (2, 3)), atol=1e-12)

    @pytest.mark.parametrize("dtype", [*SINGLES, torch.complex128])
    @pytest.mark.parametrize("shape", [(3, 4, 6), (6, 4)])
    @pytest.mark.parametrize("lazily", [torch.conj, torch.Tensor.clone])
    @pytest.mark.parametrize("name", FUNCTIONS)
    def test_nothing_is_left_to_conjugate_or_negate(self, name, lazily, shape, dtype):
        """So that NumPy takes values and gradients."""
        A = lazily(torch.randn(shape, dtype=dtype)).requires_grad_()
        Y = FUNCTIONS[name](A)
        gradient = torch.autograd.grad(Y, A, lazily(torch.randn(Y.shape, dtype=Y.dtype)))[0]
        for made in (Y.detach(), gradient):
            assert made.numpy().shape == made.shape

    def test_a_third_derivative_is_refused(self):
        A = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
        derivative = singular_value_threshold(A, 0.3)
        for _ in range(2):
            (derivative,) = torch.autograd.grad(derivative.square().sum(), A, create_graph=True)
        with pytest.raises(NotImplementedError, match="third derivatives"):
            torch.autograd.grad(derivative.square().sum(), A)

    def test_jvp_agrees_with_vjp(self):
        A, dA, G = torch.randn(3, 2, 6, 4, dtype=torch.complex128).unbind()
        _, tangent = torch.func.jvp(lambda A: singular_value_threshold(A, 0.3, relative=True), (A,), (dA,))
        a = A.clone().requires_grad_()
        (gA,) = torch.autograd.grad(singular_value_threshold(a, 0.3, relative=True), a, G)
        assert torch.allclose((tangent.conj() * G).real.sum(), (dA.conj() * gA).real.sum())

    @pytest.mark.slow(seconds=30)
    @pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")  # the compiler looks at it
    def test_compiled_modules_give_the_same_numbers(self):
        from lowrank_unroll.prox import LowRankProx  # noqa: PLC0415

        prox, image = LowRankProx(), torch.randn(2, 3, 16, 16, requires_grad=True)
        compiled = torch.compile(prox)
        results = []
        for module in (prox, compiled):
            image.grad = prox.threshold_logit.grad = None
            Y = module(image)
            Y.square().sum().backward()
            results.append((Y.detach(), image.grad, prox.threshold_logit.grad))
        for eager, fast in zip(*results, strict=True):
            assert torch.allclose(eager, fast, rtol=1e-4, atol=1e-5)

    @pytest.mark.slow
    def test_export(self):
        class Threshold(torch.nn.Module):
            def forward(self, A):
                return singular_value_threshold(A, 0.5)

        A = torch.randn(2, 8, 6)
        assert torch.allclose(torch.export.export(Threshold(), (A,)).module()(A), singular_value_threshold(A, 0.5))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_computed_in_single(self, dtype):
        A = torch.randn(3, 6, 4).to(dtype).requires_grad_()
        Y = singular_value_threshold(A, 0.5)
        assert Y.dtype == dtype
        assert torch.equal(Y, singular_value_threshold(A.float(), 0.5).to(dtype))
        Y.sum().backward()
        assert A.grad.dtype == dtype

    def test_autocast_changes_nothing(self):
        A = torch.randn(3, 6, 4)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(singular_value_threshold(A, 0.5), singular_value_threshold(A, 0.5).float())
            inside = singular_value_threshold(A, 0.5)
        assert torch.equal(inside, singular_value_threshold(A, 0.5))

    @pytest.mark.parametrize("shape", [(0, 4, 3), (2, 0, 3), (2, 3, 0), (0, 0)])
    def test_empty(self, shape):
        A = torch.zeros(shape, requires_grad=True)
        Y = singular_value_threshold(A, 0.5, relative=True)
        assert Y.shape == shape
        Y.sum().backward()
        assert A.grad.shape == shape

    def test_strides_do_not_matter(self):
        A = torch.randn(4, 6, 5).transpose(0, 2)[::2]
        assert torch.allclose(
            singular_value_threshold(A, 0.5), singular_value_threshold(A.contiguous(), 0.5), atol=1e-6
        )
        expanded = torch.randn(1, 6, 4).expand(3, 6, 4).requires_grad_()
        singular_value_threshold(expanded, 0.5).sum().backward()
        assert singular_value_threshold(expanded, 0.5)[0].equal(singular_value_threshold(expanded, 0.5)[2])


class TestRefusals:
    def test_integers(self):
        with pytest.raises(TypeError, match=r"got torch\.int64; convert with A\.float"):
            singular_value_threshold(torch.ones(3, 3, dtype=torch.long), 0.5)

    def test_vectors(self):
        with pytest.raises(ValueError, match=r"expected matrices.* got shape \(3,\)"):
            singular_value_threshold(torch.ones(3), 0.5)

    @pytest.mark.parametrize("shape", [(2, 3, 4, 4), (2, 3, 40, 4), (2, 3, 200, 100)])
    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_not_finite(self, value, shape):
        A = torch.randn(shape)
        A[1, 2, 0, 0] = value
        with pytest.raises(ValueError, match=r"at batch index \[\(1, 2\)\] holds NaN or infinity"):
            singular_value_threshold(A, 0.5)


def test_a_loaders_worker_does_not_wait_for_threads_it_has_not():
    A = torch.randn(400, 32, 32)  # large enough to be shared among threads
    singular_value_threshold(A, 0.5)
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # as DataLoader's workers do; with more, torch itself hangs after a fork
        singular_value_threshold(A, 0.5)
        os._exit(7)
    for _ in range(300):
        finished, status = os.waitpid(child, os.WNOHANG)
        if finished:
            break
        time.sleep(0.1)
    else:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        pytest.fail("the forked process hangs")
    assert os.waitstatus_to_exitcode(status) == 7
