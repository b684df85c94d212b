"""The unrolled network of colour images that carries features, whose start is a normalised convolution."""

import pytest
import torch
from test_low_rank_networks import photo, psnr, randomized
from test_starts import sampled

from lowrank_unroll.networks import FeatureUnrolledNet, NormalizedConvolution
from lowrank_unroll.operators import Mask


@pytest.fixture
def network():
    torch.manual_seed(0)
    return randomized(FeatureUnrolledNet(features=4, iterations=2, blocks=1))


def test_before_training_it_is_its_start():
    measurement, operator, _ = sampled(photo(24))
    network = FeatureUnrolledNet(features=4, iterations=2)
    assert torch.allclose(network(measurement, operator), NormalizedConvolution()(measurement, operator), atol=1e-6)


def test_a_sample_does_not_depend_on_its_batch(network):
    measurement, operator, mask = sampled(torch.rand(3, 3, 14, 15))
    together = network(measurement, operator)
    alone = [network(measurement[one : one + 1], Mask(mask[one : one + 1])) for one in range(3)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_flat_images_have_finite_gradients(network):
    measurement, operator, _ = sampled(torch.zeros(1, 3, 9, 8))
    network(measurement, operator).square().sum().backward()
    assert all(weight.grad.isfinite().all() for weight in network.parameters())


def test_every_weight_trains_and_a_few_steps_gain_decibels():
    torch.manual_seed(0)
    target = photo(32)
    measurement, operator, _ = sampled(target)
    network = FeatureUnrolledNet(features=8, iterations=2, blocks=1)
    before = psnr(network(measurement, operator).detach(), target)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    initial = [weight.detach().clone() for weight in network.parameters()]
    for _ in range(30):
        optimizer.zero_grad()
        (network(measurement, operator) - target).square().mean().log().backward()
        optimizer.step()
    assert psnr(network(measurement, operator).detach(), target) > before + 1
    assert all((weight != first).any() for weight, first in zip(network.parameters(), initial, strict=True))


def test_half_precision_changes_little(network):
    """Features are carried in half precision under autocast, the image in single."""
    measurement, operator, _ = sampled(photo(24))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        halved = network(measurement, operator)
    assert halved.dtype == torch.float32
    exact = network(measurement, operator)
    start = NormalizedConvolution()(measurement, operator)
    assert (halved - exact).norm() < 0.05 * (exact - start).norm()


def test_noise_that_the_features_tell_opens_the_trust_of_the_measurement(network):
    """Unlike a projection, the last step may leave measured values behind."""
    measurement, operator, mask = sampled(photo(24))
    assert (network(measurement, operator)[mask] - measurement[mask]).abs().max() > 1e-3
