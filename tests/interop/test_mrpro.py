"""Our nuclear norm in algorithms of mrpro, and its operators as ours."""

import pytest
import torch
from support.libraries import adapters_or_skip, import_or_skip

from lowrank_unroll.linalg import singular_value_threshold, spectral_norm
from lowrank_unroll.operators import Fourier
from lowrank_unroll.prox import Casorati, Patches, casorati


@pytest.fixture(scope="session")
def for_mrpro():
    return adapters_or_skip("mrpro")


@pytest.fixture(scope="session")
def operators(for_mrpro):
    return import_or_skip("mrpro").operators


def series():
    return torch.randn(5, 1, 1, 8, 6, dtype=torch.complex128)  # (time, coil, z, y, x)


def test_the_proximal_map_is_ours_to_the_bit(for_mrpro):
    x = series()
    (shrunk,) = for_mrpro.NuclearNorm(for_mrpro.TimeFirst(Casorati())).prox(x, 0.5)
    assert torch.equal(shrunk.reshape(5, 48), singular_value_threshold(x.reshape(5, 48), 0.5))
    assert shrunk.shape == x.shape


def test_matrices_that_share_pixels_are_refused(for_mrpro):
    with pytest.raises(ValueError, match="share pixels"):
        for_mrpro.NuclearNorm(Patches())


def test_the_conjugate_by_mrpro_projects_onto_the_ball_of_the_spectral_norm(for_mrpro):
    (projected,) = (0.5 * for_mrpro.NuclearNorm()).prox_convex_conj(3 * series(), 0.7)
    assert spectral_norm(projected).max() <= 0.5 + 1e-6


def test_proximal_gradient_descent_of_mrpro_ends_at_a_fixed_point(for_mrpro, operators):
    norm = for_mrpro.NuclearNorm(for_mrpro.TimeFirst(Casorati()))
    mask = (torch.rand(5, 1, 1, 8, 6) < 0.6).to(torch.complex128)
    A = operators.EinsumOp(mask, "..., ... -> ...") @ operators.FastFourierOp(dim=(-2, -1))
    truth = torch.ones(5, 1, 1, 8, 6, dtype=torch.complex128)
    (y,) = A(truth + 0.1 * series())
    data = 0.5 * operators.functionals.L2NormSquared(target=y) @ A
    (x,) = import_or_skip("mrpro.algorithms.optimizers").pgd(
        data, 0.5 * norm, A.H(y)[0], stepsize=0.9, max_iterations=150
    )
    operator = for_mrpro.MrproOperator(A)
    (again,) = norm.prox(x - operator.adjoint(operator(x) - y), 0.5)
    assert torch.allclose(again, x, atol=1e-4)
    assert norm(x)[0] < norm(A.H(y)[0])[0]
    assert norm(x)[0] == pytest.approx(torch.linalg.matrix_norm(casorati(x[:, 0, 0]), "nuc").item())


def test_an_operator_of_mrpro_is_ours(for_mrpro, operators):
    operator, x = for_mrpro.MrproOperator(operators.FastFourierOp(dim=(-2, -1))), series()
    operator.check_adjoint(x)
    assert torch.allclose(operator(x), Fourier()(x))
