from typing import get_args

import pytest
import torch

from lowrank_unroll.linalg import SVDGradient, svd

RULES = get_args(SVDGradient)
MATRICES = ["generic_5x3", "generic_3x5", "square_4x4", "paper_4x5", "identity_3x3", "zero_4x3"]  # not nearly tied
SHAPES = [(5, 3), (3, 5), (4, 4), (2, 2, 3, 2)]
DTYPES = [torch.float64, torch.complex128]


def shifted(A, gradient):
    """U (S + 0.1) V^H: depends on the singular vectors only through products free of their phase."""
    U, S, Vh = svd(A, gradient)
    return (U * (S + 0.1)[..., None, :]) @ Vh


@pytest.mark.parametrize("gradient", RULES)
@pytest.mark.parametrize("matrix", MATRICES)
def test_reproduces_the_published_gradients(matrix, gradient, reference_vectors):
    vectors = reference_vectors("svd_gradients")
    A = torch.tensor(vectors[f"{matrix}/A"], requires_grad=True)
    expected = torch.tensor(vectors[f"{matrix}/grad/{gradient}"])
    (shifted(A, gradient) * torch.tensor(vectors[f"{matrix}/cotangent"])).sum().backward()
    if expected.isnan().any():
        assert gradient == "plain"
        assert A.grad.isnan().any()
    else:
        assert (A.grad - expected).norm() <= 1e-4 * expected.norm()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_factors_are_those_of_torch(shape, dtype):
    A = torch.randn(shape, dtype=dtype)
    for ours, theirs in zip(svd(A), torch.linalg.svd(A, full_matrices=False), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("gradient", ["plain", "zero", "clip", "pinv"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_gradient_is_right_for_distinct_singular_values(shape, dtype, gradient):
    A = torch.randn(shape, dtype=dtype, requires_grad=True)
    assert torch.autograd.gradcheck(lambda A: shifted(A, gradient), A)


@pytest.mark.parametrize("gradient", RULES)
def test_phase_of_complex_singular_vectors(gradient):
    """A loss that depends on the relative phase of U and V, Im(U^H B V), needs the phase term."""
    U, _, Vh = torch.linalg.svd(torch.randn(4, 4, dtype=torch.complex128))
    A = ((U * torch.tensor([1000.0, 100.0, 10.0, 1.0])) @ Vh).requires_grad_()  # the Taylor series converges
    B = torch.randn(4, 4, dtype=torch.complex128)

    def loss(A):
        U, _, Vh = svd(A, gradient)
        return (U.mH @ B @ Vh.mH).diagonal().imag.sum()

    assert torch.autograd.gradcheck(loss, A, atol=1e-4, rtol=1e-4)


def test_unknown_rule_is_refused():
    with pytest.raises(ValueError, match="expected one of 'plain'"):
        svd(torch.eye(2), "exact")


def test_rtol_bounds_the_gradient_near_ties():
    A = torch.diag(torch.tensor([1.0, 1.0 + 1e-6, 0.5])) + 1e-9
    gradients = []
    for rtol in (0.0, 1e-4):
        a = A.clone().requires_grad_()
        U, _, _ = svd(a, "pinv", rtol=rtol)
        (U * torch.arange(9.0).reshape(3, 3)).sum().backward()
        gradients.append(a.grad.norm())
    assert gradients[0] > 1e5
    assert gradients[1] < 100


def test_rtol_is_for_pinv():
    with pytest.raises(ValueError, match="rtol is for gradient='pinv'"):
        svd(torch.eye(2), "zero", rtol=1e-4)


def test_not_finite_input_is_refused():
    A = torch.randn(3, 4, 4)
    A[2, 0, 0] = torch.nan
    with pytest.raises(ValueError, match=r"at batch index \[\(2,\)\] holds NaN"):
        svd(A)
