import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll.linalg import singular_value_threshold

DTYPES = [torch.float64, torch.complex128]
SHAPES = [(5, 3), (3, 5), (4, 4), (2, 2, 3, 2)]
SPECTRA = {
    "distinct": [4.0, 3.0, 2.0, 1.0],
    "near tie": [3.0, 3.0 + 1e-6, 3.0 - 1e-6, 1.0],
    "tie": [3.0, 3.0, 3.0, 1.0],
    "tied pairs": [3.0, 3.0, 0.0, 0.0],
    "identity": [1.0, 1.0, 1.0, 1.0],
    "rank one": [2.0, 0.0, 0.0, 0.0],
    "zero": [0.0, 0.0, 0.0, 0.0],
}


def orthogonal(n, dtype):
    return torch.linalg.qr(torch.randn(n, n, dtype=dtype)).Q


def with_spectrum(values, dtype=torch.float64, rows=6):
    """A rows x k matrix with these singular values."""
    k = len(values)
    return (orthogonal(rows, dtype)[:, :k] * torch.tensor(values, dtype=torch.float64).to(dtype)) @ orthogonal(k, dtype)


@st.composite
def matrices(draw):
    rows, columns, seed = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(0, 1000))
    values = draw(st.lists(st.sampled_from([0.0, 1.0, 1.0 + 1e-9, 2.0, 5.0]), min_size=1, max_size=min(rows, columns)))
    dtype = draw(st.sampled_from(DTYPES))
    torch.manual_seed(seed)
    left, right = orthogonal(rows, dtype), orthogonal(columns, dtype)
    k = len(values)
    return (left[:, :k] * torch.tensor(values, dtype=dtype)) @ right[:k]


thresholds = st.sampled_from([0.0, 0.3, 1.0, 1.5, 10.0])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_agrees_with_numpy(shape, dtype):
    A = torch.randn(shape, dtype=dtype)
    U, S, Vh = np.linalg.svd(A.numpy(), full_matrices=False)
    expected = (U * np.maximum(S - 0.7, 0)[..., None, :]) @ Vh
    np.testing.assert_allclose(singular_value_threshold(A, 0.7).numpy(), expected, atol=1e-12)
    relative = (U * np.maximum(S - 0.3 * S[..., :1], 0)[..., None, :]) @ Vh
    np.testing.assert_allclose(singular_value_threshold(A, 0.3, relative=True).numpy(), relative, atol=1e-12)


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_agrees_with_finite_differences(shape, dtype, relative):
    A = torch.randn(shape, dtype=dtype, requires_grad=True)
    threshold = torch.full(shape[:-2], 0.4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda A, t: singular_value_threshold(A, t, relative=relative), (A, threshold))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_gradient_agrees_with_finite_differences_at_ties(spectrum, dtype):
    A = with_spectrum(SPECTRA[spectrum], dtype).requires_grad_()
    threshold = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(singular_value_threshold, (A, threshold))


@pytest.mark.parametrize("spectrum", SPECTRA)
def test_single_precision_gradient_is_accurate(spectrum):
    A, G = with_spectrum(SPECTRA[spectrum]), torch.randn(6, 4, dtype=torch.float64)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        a = A.to(dtype).requires_grad_()
        (singular_value_threshold(a, 0.5) * G.to(dtype)).sum().backward()
        gradients.append(a.grad.double())
    assert (gradients[0] - gradients[1]).norm() <= 5e-6 * G.norm()


@given(matrices(), st.sampled_from([1e-3, 0.1, 1.0, 10.0]), thresholds)
def test_is_non_expansive(A, distance, threshold):
    B = A + distance * torch.randn_like(A)
    moved = (singular_value_threshold(A, threshold) - singular_value_threshold(B, threshold)).norm()
    assert moved <= (A - B).norm() + 1e-12


@given(matrices(), thresholds)
def test_moreau_identity(A, threshold):
    """The part that is taken away is the projection of A onto the matrices of spectral norm <= threshold."""
    removed = A - singular_value_threshold(A, threshold)
    assert torch.linalg.matrix_norm(removed, 2) <= threshold + 1e-12
    U, S, Vh = np.linalg.svd(A.numpy(), full_matrices=False)
    np.testing.assert_allclose(removed.numpy(), (U * np.minimum(S, threshold)) @ Vh, atol=1e-12)


@given(matrices(), thresholds, st.booleans())
def test_gradient_is_never_larger_than_what_comes_in(A, threshold, single):
    A = A.to(torch.complex64 if A.is_complex() else torch.float32) if single else A
    A.requires_grad_()
    G = torch.randn_like(A)
    (gradient,) = torch.autograd.grad(singular_value_threshold(A, threshold), A, G)
    assert gradient.norm() <= G.norm() * (1 + 1e-5)


@given(matrices(), thresholds)
def test_is_unitarily_equivariant(A, threshold):
    P, Q = orthogonal(A.shape[0], A.dtype), orthogonal(A.shape[1], A.dtype)
    expected = P @ singular_value_threshold(A, threshold) @ Q.mH
    assert (singular_value_threshold(P @ A @ Q.mH, threshold) - expected).norm() <= 1e-11


@given(matrices(), st.floats(1e-3, 1e3), st.floats(0, 1))
def test_relative_threshold_is_homogeneous(A, factor, fraction):
    scaled = singular_value_threshold(factor * A, fraction, relative=True)
    assert (scaled - factor * singular_value_threshold(A, fraction, relative=True)).norm() <= 1e-11 * factor


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_relative_gradient_averages_over_a_tied_largest_value(dtype):
    """Of Q = 1 Q, the direction Q itself: every singular value passes 1 and loses a third of 3 * 0.25."""
    Q = orthogonal(3, dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(singular_value_threshold(Q, 0.25, relative=True), Q, Q.detach())
    assert torch.allclose(gradient, 0.75 * Q, atol=1e-5)


def test_negative_threshold_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        singular_value_threshold(torch.eye(2), -0.1)
