"""Convolutions that are computed in another way than PyTorch's, whose numbers they give."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from lowrank_unroll.networks.layers import convolutions, fast_convolutions
from lowrank_unroll.networks.layers.convolutions import ImageConvolutions, from_channels, to_channels
from lowrank_unroll.networks.layers.fast_convolutions import (
    FewInputsConv3d,
    FewOutputsConv2d,
    FewOutputsConv3d,
    PeriodicTemporalConv3d,
    SeriesConv3d,
    SpatialConv3d,
)

SIZES = st.integers(1, 6)


def value_and_gradients(convolve, images, kernels):
    result = convolve(images)
    return result, *torch.autograd.grad(result.sin().sum(), [images, *kernels])


def assert_same(ours, theirs, images, kernels):
    images.requires_grad_()
    pairs = zip(*(value_and_gradients(convolve, images, kernels) for convolve in (ours, theirs)), strict=True)
    for one, other in pairs:
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("kind", "reference"),
    [
        (FewOutputsConv2d, functional.conv2d),
        (FewInputsConv3d, functional.conv3d),
        (FewOutputsConv3d, functional.conv3d),
    ],
)
@given(data=st.data())
def test_each_is_a_convolution(kind, reference, data):
    before, after = data.draw(SIZES), data.draw(SIZES)
    ours = kind(before, after).double()
    batch, *size = (data.draw(SIZES) for _ in range(ours.weight.ndim - 1))
    images = torch.randn(batch, before, *size, dtype=torch.float64)
    assert_same(ours, lambda x: reference(x, ours.weight, padding=1), images, [ours.weight])


@pytest.mark.parametrize("kind", [FewInputsConv3d, FewOutputsConv3d, SeriesConv3d])
@pytest.mark.parametrize("not_vectorized", [0, 10_000])
def test_series_convolutions_add_their_bias(kind, not_vectorized, monkeypatch):
    monkeypatch.setattr(fast_convolutions, "NOT_VECTORIZED", not_vectorized)
    ours, series = kind(3, 4, bias=True).double(), torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    parameters = list(ours.parameters())
    assert_same(ours, lambda x: functional.conv3d(x, *parameters, padding=1), series, parameters)


@pytest.mark.parametrize("channels", [4, 16])
def test_a_series_is_convolved_to_the_same_bits_in_every_batch(channels):
    convolve, series = SeriesConv3d(channels, channels), torch.randn(3, channels, 4, 12, 10)
    together = convolve(series)
    for one, alone in zip(together, series.split(1), strict=True):
        assert torch.equal(one, convolve(alone)[0])


@pytest.mark.parametrize("not_vectorized", [0, 10_000])
def test_spatial_convolutions_are_of_each_frame(not_vectorized, monkeypatch):
    monkeypatch.setattr(fast_convolutions, "NOT_VECTORIZED", not_vectorized)
    ours, series = SpatialConv3d(3, 4).double(), torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    padding = (0, 1, 1)
    assert_same(ours, lambda x: functional.conv3d(x, ours.weight, padding=padding), series, [ours.weight])


@pytest.mark.parametrize("not_vectorized", [0, 10_000])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_periodic_convolutions_are_those_of_a_repeated_series(frames, not_vectorized, monkeypatch):
    monkeypatch.setattr(fast_convolutions, "NOT_VECTORIZED", not_vectorized)
    ours, series = PeriodicTemporalConv3d(3).double(), torch.randn(2, 3, frames, 4, 5, dtype=torch.float64)

    def of_repeated(x):
        return functional.conv3d(torch.cat([x, x, x], dim=2), ours.weight, padding=(1, 0, 0))[:, :, frames : 2 * frames]

    assert_same(ours, of_repeated, series, [ours.weight])


def test_a_stack_is_its_convolutions_with_relu_between():
    stack = ImageConvolutions((3, 5, 4, 2)).double()
    images = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    before = images.clone()

    def one_by_one(channels):
        channels = functional.conv2d(channels, stack.conv0.weight, padding=1).relu()
        channels = functional.conv2d(channels, stack.conv1.weight, padding=1).relu()
        return functional.conv2d(channels, stack.conv2.weight, padding=1)

    assert_same(stack, one_by_one, images, list(stack.parameters()))
    assert torch.equal(images, before)


def test_bands_of_a_large_image_have_the_bits_of_the_whole(monkeypatch):
    stack, images = ImageConvolutions((3, 16, 16, 2)), torch.randn(2, 3, 50, 23)
    with torch.no_grad():
        whole = stack(images)
        monkeypatch.setattr(convolutions, "LARGE", 16 * 23 * 7)
        assert torch.equal(stack(images), whole)


def with_strides(tensor, channels_last, stride_of_one):
    """The same numbers in an order in memory, and with a stride of dims of size 1, which no address depends on."""
    if channels_last:
        tensor = tensor.movedim(1, -1).contiguous().movedim(-1, 1)
    sides = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.as_strided(tensor.shape, [stride_of_one if size == 1 else stride for size, stride in sides])


@pytest.mark.parametrize("shape", [(1, 3, 4, 5), (2, 1, 4, 1), (1, 1, 1, 1)])
@pytest.mark.parametrize("strides", [(False, 1), (True, 1), (True, 7)])
class TestChannelsOfComplexSeries:
    @pytest.mark.parametrize("count", [1, 2])
    def test_series_become_channels_and_gradients_come_back(self, count, strides, shape):
        series = [torch.randn(shape, dtype=torch.complex64, requires_grad=True) for _ in range(count)]
        channels = to_channels(*series)
        cotangent = with_strides(torch.randn(channels.shape), *strides)
        gradients = torch.autograd.grad(channels, series, cotangent)
        assert torch.equal(to_channels(*gradients), cotangent)

    def test_channels_become_series_and_gradients_come_back(self, strides, shape):
        channels = with_strides(torch.randn(shape[0], 2, *shape[1:]), *strides).requires_grad_()
        series = from_channels(channels)
        assert torch.equal(to_channels(series), channels)
        cotangent = with_strides(torch.randn(shape, dtype=torch.complex64), *strides)
        (gradient,) = torch.autograd.grad(series, channels, cotangent)
        assert torch.equal(gradient, to_channels(cotangent))
