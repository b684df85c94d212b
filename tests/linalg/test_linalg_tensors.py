import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll.linalg import tensor_singular_value_threshold
from lowrank_unroll.prox import casorati, fold, unfold


@given(st.integers(0, 2), st.sampled_from([(), (2,), (2, 3)]))
def test_fold_undoes_unfold(mode, batch):
    tensor = torch.randn(*batch, 3, 4, 5)
    matrix = unfold(tensor, mode)
    assert matrix.shape == (*batch, (3, 4, 5)[mode], 60 // (3, 4, 5)[mode])
    assert torch.equal(fold(matrix, mode, (3, 4, 5)), tensor)


def test_columns_of_an_unfolding_are_fibres():
    tensor = torch.randn(3, 4, 5)
    for mode, fibre in enumerate((tensor[:, 1, 2], tensor[1, :, 2], tensor[1, 2, :])):
        columns = unfold(tensor, mode).T
        assert any(torch.equal(column, fibre) for column in columns)


def test_casorati_has_an_image_per_row():
    series = torch.randn(2, 5, 4, 3)
    assert torch.equal(casorati(series)[1, 2], series[1, 2].flatten())


def test_impossible_modes_are_refused():
    with pytest.raises(ValueError, match="expected 0 <= mode < dims"):
        unfold(torch.ones(2, 2, 2), 3)


@pytest.mark.parametrize("dim", [-3, -2, -1])
def test_t_svd_agrees_with_numpy(dim):
    tensor = np.random.default_rng(0).normal(size=(5, 4, 3))
    slices = np.moveaxis(np.fft.fft(tensor, axis=dim, norm="ortho"), dim, -3)
    U, S, Vh = np.linalg.svd(slices, full_matrices=False)
    shrunk = np.moveaxis((U * np.maximum(S - 0.4, 0)[..., None, :]) @ Vh, -3, dim)
    expected = np.fft.ifft(shrunk, axis=dim, norm="ortho").real
    np.testing.assert_allclose(
        tensor_singular_value_threshold(torch.tensor(tensor), 0.4, dim=dim), expected, atol=1e-12
    )


def test_t_svd_gradient():
    tensor = torch.randn(2, 4, 3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: tensor_singular_value_threshold(x, 0.3, relative=True), tensor)


@given(st.integers(0, 1000), st.floats(0, 2))
def test_t_svd_is_non_expansive(seed, threshold):
    torch.manual_seed(seed)
    A, step = torch.randn(2, 3, 4, 4, dtype=torch.float64).unbind()
    moved = tensor_singular_value_threshold(A, threshold) - tensor_singular_value_threshold(A + step, threshold)
    assert moved.norm() <= step.norm() + 1e-12


def test_t_svd_needs_a_dim_of_the_tensor():
    with pytest.raises(ValueError, match="one of the last three"):
        tensor_singular_value_threshold(torch.ones(2, 3, 4, 5), 0.1, dim=0)
