"""JotlasNet: its size, its two proximal steps, and the threshold that its attention chooses."""

import pytest
import torch
from test_networks import acquisition

from lowrank_unroll.networks import JotlasNet
from lowrank_unroll.networks.jotlas_net import AttentionThreshold
from lowrank_unroll.networks.layers.convolutions import from_channels, to_channels
from lowrank_unroll.operators import gradient_step
from lowrank_unroll.prox import soft_threshold


@pytest.fixture
def network():
    torch.manual_seed(0)
    return JotlasNet(features=4, iterations=2)


@pytest.fixture
def threshold():
    torch.manual_seed(0)
    return AttentionThreshold(8)


def test_it_has_about_the_published_size():
    size = sum(weight.numel() for weight in JotlasNet().parameters())
    assert size == 719_895
    assert abs(size / 721_000 - 1) < 0.002


def test_without_the_sparse_part_it_is_half_a_low_rank_step(network):
    measurement, operator = acquisition()
    first = network.iterations[0]
    first.sparse[-1].begin_at_zero()
    state = network.initial_state(operator.adjoint(measurement))
    descended = gradient_step(state.image, measurement, operator)
    low_rank = from_channels(first.prox(to_channels(descended)))
    assert torch.allclose(first(state, measurement, operator).image, descended + low_rank / 2, atol=1e-5)


def test_without_both_parts_it_is_nesterov_accelerated_gradient_descent():
    measurement, operator = acquisition()
    network = JotlasNet(features=4, iterations=4)
    for iteration in network.iterations:
        iteration.sparse[-1].begin_at_zero()
        iteration.prox.decoder.begin_at_zero()
    image = extrapolated = operator.adjoint(measurement)
    for number in range(4):
        before, image = image, gradient_step(extrapolated, measurement, operator)
        extrapolated = image + number / (number + 3) * (image - before)
    assert torch.allclose(network(measurement, operator), image, atol=1e-5)


def test_the_threshold_is_between_zero_and_the_mean_magnitude_of_each_channel(threshold):
    channels = torch.randn(3, 8, 4, 5, 6) * torch.logspace(-2, 2, 8)[:, None, None, None]
    thresholds, means = threshold.thresholds(channels), channels.abs().mean((2, 3, 4), keepdim=True)
    assert thresholds.shape == (3, 8, 1, 1, 1)
    assert ((thresholds > 0) & (thresholds < means)).all()
    assert torch.equal(threshold(channels), soft_threshold(channels, thresholds))


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_the_threshold_is_homogeneous(factor, threshold):
    channels = torch.randn(2, 8, 3, 5, 4)
    expected = factor * threshold(channels)
    assert torch.allclose(threshold(factor * channels), expected, rtol=1e-4, atol=1e-6 * factor)


def test_it_shrinks_and_does_not_expand_for_fixed_thresholds(threshold):
    one, other = torch.randn(2, 2, 8, 3, 5, 4)
    assert (threshold(one).abs() <= one.abs()).all()
    fixed = threshold.thresholds(one)
    distance = (soft_threshold(one, fixed) - soft_threshold(other, fixed)).norm()
    assert distance <= (one - other).norm()


def test_each_channel_has_its_own_threshold_which_depends_on_the_others(threshold):
    channels = torch.rand(1, 8, 3, 5, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(threshold.thresholds(channels)[0, 0].sum(), channels)
    assert (gradient.abs().sum((0, 2, 3, 4)) > 0).all()


def test_channels_of_zeros_have_finite_gradients(threshold):
    channels = torch.zeros(1, 8, 3, 5, 4, requires_grad=True)
    threshold(channels).sum().backward()
    assert channels.grad.isfinite().all()
    assert all(weight.grad.isfinite().all() for weight in threshold.parameters())
