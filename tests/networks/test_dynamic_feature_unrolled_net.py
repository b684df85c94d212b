"""The unrolled network of series that carries features."""

import pytest
import torch
from test_low_rank_networks import randomized
from test_networks import acquisition
from test_starts import beating_disk

from lowrank_unroll.networks import DynamicFeatureUnrolledNet, LocallyLowRankRecon
from lowrank_unroll.networks.layers.space_time_convolutions import SpaceTimeConvolutions
from lowrank_unroll.operators import SampledFourier, SingleCoil


def test_convolutions_in_space_then_time_are_3d_convolutions():
    """Against the 3-D convolutions of PyTorch; in training another algorithm computes the second."""
    torch.manual_seed(0)
    stack, features = SpaceTimeConvolutions(4), torch.randn(2, 5, 6, 7, 4)
    space, time = stack.space.weight[:, :, None], stack.time.weight[..., None]
    channels = features.movedim(-1, 1)
    hidden = torch.conv3d(channels, space, padding=(0, 1, 1)).relu()
    expected = (channels + torch.conv3d(hidden, time, padding=(1, 0, 0))).movedim(1, -1)
    assert torch.allclose(stack(features), expected, atol=1e-5)
    with torch.inference_mode():
        assert torch.allclose(stack(features), expected, atol=1e-5)


def test_every_weight_trains_and_a_few_steps_gain_decibels():
    torch.manual_seed(0)
    target = beating_disk()
    mask = torch.rand(1, 8, 32, 32) < 0.3
    operator = SampledFourier(mask) @ SingleCoil()
    measurement = operator(target)
    network = DynamicFeatureUnrolledNet(features=8, iterations=2, blocks=1, start=LocallyLowRankRecon(iterations=3))

    def error():
        return (network(measurement, operator) - target).abs().square().mean().log()

    before = error().item()
    initial = [weight.detach().clone() for weight in network.parameters()]
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(30):
        optimizer.zero_grad()
        error().backward()
        optimizer.step()
    assert error().item() < before - 0.5
    assert all((weight != first).any() for weight, first in zip(network.parameters(), initial, strict=True))


def test_the_noise_of_the_measurement_is_seen():
    torch.manual_seed(0)
    network = randomized(DynamicFeatureUnrolledNet(features=4, iterations=1, blocks=1))
    series, operator = beating_disk(), SampledFourier(torch.rand(1, 8, 32, 32) < 0.5) @ SingleCoil()
    measurement = operator(series)
    noisy = measurement + 0.1 * torch.randn_like(measurement) * (measurement != 0)
    quiet, loud = (network.begin(series, one, operator) for one in (measurement, noisy))
    assert loud.noise > 2 * quiet.noise  # what moves counts as noise, too
    states = [quiet, quiet._replace(noise=loud.noise)]
    images = [network.iterations[0](state, measurement, operator).image for state in states]
    assert not torch.allclose(*images)


@pytest.mark.parametrize("scale", [0.0, 1e-15, 1e15])
def test_extreme_units_have_finite_gradients(scale):
    network = randomized(DynamicFeatureUnrolledNet(features=4, iterations=2, blocks=1))
    measurement, operator = acquisition()
    series = network(scale * measurement, operator)
    (series / (scale or 1)).abs().square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())
