"""Total variation: adjoint differences, and the proximal map that its steps approach."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll.prox import total_variation_step
from lowrank_unroll.prox.total_variation import STEP_SIZE, adjoint_differences, differences

SHAPES = st.tuples(*[st.integers(1, 5)] * 4)


def series_of(shape, is_complex):
    return torch.randn(shape, dtype=torch.complex128 if is_complex else torch.float64)


def proximal_map(series, weights, steps=4000):
    dual = series.new_zeros((3, *series.shape))
    for _ in range(steps):
        result, dual = total_variation_step(series, dual, weights)
    return result, dual


@given(SHAPES, st.booleans())
def test_the_adjoint_of_differences(shape, is_complex):
    series, dual = series_of(shape, is_complex), series_of((3, *shape), is_complex)
    assert torch.isclose((dual.conj() * differences(series)).sum(), (adjoint_differences(dual).conj() * series).sum())


def test_differences_are_those_of_neighbours():
    series = series_of((2, 4, 5, 6), True)
    for dim, part in enumerate(differences(series), start=1):
        length = series.shape[dim] - 1
        assert torch.equal(part.narrow(dim, 0, length), series.diff(dim=dim))
        assert not part.narrow(dim, length, 1).any()


def test_the_step_size_is_below_what_converges():
    dual = series_of((3, 1, 16, 16, 16), False)
    for _ in range(200):
        dual = differences(adjoint_differences(dual / dual.norm()))
    assert dual.norm() * STEP_SIZE <= 1


@pytest.mark.slow
@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
def test_steps_reach_the_proximal_map(is_complex):
    """The dual variable is feasible and aligned with the differences, which only the minimiser allows."""
    series, weights = series_of((2, 4, 5, 6), is_complex), torch.rand(3, 2, dtype=torch.float64)
    result, dual = proximal_map(series, weights)
    bound = weights[..., None, None, None]
    assert torch.allclose(result, series - adjoint_differences(dual))
    assert (dual.abs() <= bound + 1e-12).all()
    variation = (bound * differences(result).abs()).sum()
    assert torch.isclose((dual.conj() * differences(result)).sum().real, variation, rtol=1e-4)


def test_the_proximal_map_is_not_expansive():
    weights = torch.full((3, 1), 0.3, dtype=torch.float64)
    one, other = series_of((2, 1, 4, 5, 6), True)
    near, far = ((proximal_map(series, weights)[0]) for series in (one, other))
    assert (near - far).norm() <= (one - other).norm()


def test_large_weights_leave_the_mean_and_none_leave_the_series():
    series = series_of((1, 3, 4, 5), True)
    mean, _ = proximal_map(series, torch.full((3, 1), 1e3, dtype=torch.float64))
    assert torch.allclose(mean, series.mean().expand_as(series), atol=1e-8)
    unchanged, dual = total_variation_step(series, series_of((3, *series.shape), True), torch.zeros(3, 1))
    assert torch.equal(unchanged, series)
    assert not dual.any()
