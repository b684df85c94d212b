"""Iterations in hybrid space, if whole columns of k-space are sampled."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from support.operators import complex_randn

from lowrank_unroll.operators import Fourier, Mask, SampledColumns, SampledFourier
from lowrank_unroll.operators.sampled_columns import MOST_COLUMNS, few_columns


@given(npst.arrays(bool, st.tuples(st.integers(1, 3), st.integers(1, 7))), st.integers(1, 5))
def test_the_problem_is_that_of_whole_kspace(sampled, height):
    columns = torch.from_numpy(sampled)
    mask = columns[:, None, :].expand(-1, height, -1)
    x = complex_randn(2, *mask.shape)
    A = Mask(mask) @ Fourier()
    y = A(x)
    in_hybrid_space, B = SampledFourier(mask).without_shifts(y)
    assert in_hybrid_space.shape == (*x.shape[:-1], max(1, int(columns.sum(-1).max())))
    torch.testing.assert_close(B(x), in_hybrid_space)
    torch.testing.assert_close(B.adjoint(in_hybrid_space), A.adjoint(y))
    torch.testing.assert_close(B.gram(x), A.gram(x))


def test_columns_have_the_values_of_kspace():
    columns, x = torch.tensor([False, True, False, True, True]), complex_randn(4, 3, 5)
    hybrid = SampledColumns(columns, x.dtype)(x)
    along_the_height = torch.fft.fftshift(torch.fft.fft(torch.fft.ifftshift(hybrid, -2), dim=-2, norm="ortho"), -2)
    torch.testing.assert_close(along_the_height, Fourier()(x)[..., columns])


@pytest.mark.parametrize("width", [MOST_COLUMNS, MOST_COLUMNS + 1])
def test_only_few_columns_are_multiplied_by_a_matrix(width):
    mask = torch.ones(2, 4, width, dtype=torch.bool)
    assert (few_columns(mask) is not None) == (width <= MOST_COLUMNS)


def test_single_samples_are_no_columns():
    mask = torch.ones(2, 4, 5, dtype=torch.bool)
    mask[1, 2, 3] = False
    assert few_columns(mask) is None
    assert few_columns(torch.ones(2, 4, 5, dtype=torch.bool, device="meta")) is None


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (4, 1)])
def test_masks_that_broadcast_along_the_width_are_no_columns(shape):
    mask, y = torch.ones(shape, dtype=torch.bool), complex_randn(2, 4, 6)
    z, B = SampledFourier(mask).without_shifts(y)
    torch.testing.assert_close(B.adjoint(z), Fourier().adjoint(y))


def test_precision_is_that_of_the_finer_one():
    columns, x = torch.tensor([True, False]), complex_randn(3, 2)
    assert SampledColumns(columns, torch.complex64)(x).dtype == torch.complex128
    assert SampledColumns(columns, torch.complex64)(x.real.float()).dtype == torch.complex64
    with pytest.raises(TypeError, match=r"columns is torch\.int64, expected booleans"):
        SampledColumns(columns.long(), torch.complex64)


def test_a_traced_mask_is_not_read():
    masks = torch.rand(3, 1, 6) < 0.5
    x = complex_randn(3, 4, 6)

    def adjoint(mask, y):
        measurement, operator = SampledFourier(mask).without_shifts(y)
        return operator.adjoint(measurement)

    together = torch.func.vmap(adjoint)(masks, x)
    torch.testing.assert_close(together, torch.stack([adjoint(*one) for one in zip(masks, x, strict=True)]))
