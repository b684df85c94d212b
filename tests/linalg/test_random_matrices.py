"""Singular values of noise, and their optimal shrinkage."""

import pytest
import torch

from lowrank_unroll.linalg import Hard, OptimalShrinker, Soft, noise_edge, noise_variance, safe_sqrt, spectral_function


def noisy(rows=20, columns=60, rank=2, noise=0.5, dtype=torch.float64, seed=0, strength=30.0):
    """A matrix of low rank and one with noise, E|n|^2 = noise^2."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(shape, dtype=dtype, generator=generator)

    left, right = torch.linalg.qr(draw(rows, rank)).Q, torch.linalg.qr(draw(columns, rank)).Q
    clean = strength * left @ right.mH
    return clean, clean + noise * draw(rows, columns)


@pytest.mark.parametrize("shape", [(20, 60), (60, 20), (30, 30)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_the_noise_is_found_below_what_is_of_low_rank(shape, dtype):
    _, matrix = noisy(*shape, dtype=dtype)
    assert noise_variance(torch.linalg.svdvals(matrix), shape).sqrt() == pytest.approx(0.5, rel=0.1)


def test_the_noise_has_the_unit_of_the_matrix():
    _, matrix = noisy()
    S = torch.linalg.svdvals(matrix)
    assert torch.allclose(noise_variance(1e3 * S, (20, 60)), 1e6 * noise_variance(S, (20, 60)))


@pytest.mark.parametrize("unit", [1e-22, 1e19])
def test_the_unit_may_be_extreme(unit):
    _, matrix = noisy(dtype=torch.float32)
    S = torch.linalg.svdvals(matrix)
    variance = noise_variance(unit * S, (20, 60)) / unit / unit
    assert torch.allclose(variance, noise_variance(S, (20, 60)), rtol=1e-5)


def test_the_tangent_of_a_root_of_zero_is_zero():
    squares = torch.tensor([0.0, 4.0])
    root, tangent = torch.func.jvp(safe_sqrt, (squares,), (torch.ones(2),))
    assert root.tolist() == [0, 2]
    assert tangent.tolist() == [0, 0.25]


def test_zeros_have_no_noise():
    assert noise_variance(torch.zeros(2, 5), (5, 8)).tolist() == [0, 0]


def test_noise_ends_at_its_edge():
    noise = torch.randn(300, 900, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.linalg.svdvals(noise)[0] == pytest.approx(noise_edge(1.0, (300, 900)), rel=0.01)


@pytest.mark.parametrize("shape", [(20, 60), (60, 20)])
def test_no_soft_or_hard_threshold_has_a_smaller_error_than_the_optimal_shrinker(shape):
    clean, matrix = noisy(*shape, rank=4, strength=8.0)

    def error(shrinkage):
        return (spectral_function(matrix, shrinkage) - clean).square().sum()

    best = error(OptimalShrinker(0.5, shape))
    edge = noise_edge(0.5, shape)
    for factor in (0.3, 0.5, 0.7, 0.9, 1.0, 1.1, 1.2):
        assert best < error(Soft(factor * edge))
        assert best < 1.02 * error(Hard(factor * edge))


def test_the_shrinker_undoes_what_noise_does_to_a_singular_value():
    """Noise makes sqrt((x + 1/x) (x + b/x)) of a signal x, in units of noise sqrt(n); <u, u'> <v, v'> x is left."""
    ratio, x = 1 / 4, torch.tensor([1.0, 2.0, 5.0, 50.0], dtype=torch.float64)
    raised = ((x + 1 / x) * (x + ratio / x)).sqrt()
    cosines = ((x**4 - ratio) / (x**4 + ratio * x**2) * (x**4 - ratio) / (x**4 + x**2)).sqrt()
    shrunk = OptimalShrinker(0.1, (25, 100)).values(raised)
    assert torch.allclose(shrunk, x * cosines, rtol=1e-9)


def test_it_has_the_unit_of_the_matrix():
    S = torch.tensor([9.0, 7.0, 2.0])
    small, large = (OptimalShrinker(unit * 0.5, (20, 60)).values(unit * S) for unit in (1e-30, 1e30))
    assert torch.allclose(large * 1e-30, small * 1e30)
    assert small[-1] == 0 < small[1]
