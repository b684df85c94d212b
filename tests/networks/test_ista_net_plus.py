"""ISTA-Net+: its size, the step that it learns, and the penalty of a transform that is not inverted."""

import pytest
import torch
from test_networks import acquisition

from lowrank_unroll.networks import DynamicISTANetPlus, ISTANetPlus
from lowrank_unroll.networks.ista_net_plus import SparseCorrection
from lowrank_unroll.networks.layers.convolutions import ImageConvolutions, SeriesConvolutions
from lowrank_unroll.operators import Mask, gradient_step


@pytest.fixture
def measured():
    torch.manual_seed(0)
    mask = torch.rand(2, 3, 9, 8) < 0.5
    return torch.rand(2, 3, 9, 8) * mask, Mask(mask)


def size(network):
    return sum(weight.numel() for weight in network.parameters())


def test_it_has_the_published_size():
    assert size(ISTANetPlus(channels=1)) == 336_978
    assert size(DynamicISTANetPlus()) == 293_780


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_homogeneity(measured, factor):
    measurement, operator = measured
    network = ISTANetPlus(features=4, iterations=2)
    scaled, expected = network(factor * measurement, operator), factor * network(measurement, operator)
    assert torch.allclose(scaled, expected, rtol=1e-3, atol=1e-5 * factor)


@pytest.mark.parametrize(("convolutions", "size"), [(ImageConvolutions, (9, 8)), (SeriesConvolutions, (5, 9, 8))])
def test_the_symmetry_residual_is_zero_if_the_decoder_inverts_the_encoder(convolutions, size):
    torch.manual_seed(0)
    correction = SparseCorrection(convolutions, 2, 4)
    channels = torch.rand(2, 2, *size)
    assert correction(channels)[1].square().mean() > 0
    for stack in (correction.encoder, correction.decoder):
        for convolution in (stack.conv0, stack.conv1):
            torch.nn.init.dirac_(convolution.weight)
    torch.nn.init.uniform_(correction.read.conv0.weight)  # positive features, which ReLU passes
    assert not correction(channels)[1].any()


@pytest.mark.parametrize("dynamic", [False, True])
def test_the_penalty_is_a_hundredth_of_all_mean_squared_residuals(dynamic, measured):
    measurement, operator = acquisition() if dynamic else measured
    network = (DynamicISTANetPlus if dynamic else ISTANetPlus)(features=4, iterations=2)
    residuals = [state.symmetry_residual.square().mean() for state in network.states(measurement, operator)]
    penalty = network.forward_with_penalty(measurement, operator)[1]
    assert torch.allclose(penalty, 0.01 * sum(residuals))
    assert penalty > 0
    assert network.eval().forward_with_penalty(measurement, operator)[1] == 0


def test_without_a_correction_it_is_gradient_descent(measured):
    measurement, operator = measured
    network = ISTANetPlus(features=4, iterations=3)
    for iteration in network.iterations:
        iteration.correction.write.begin_at_zero()
    image = operator.adjoint(measurement)
    for _ in range(3):
        image = gradient_step(image, measurement, operator, 0.5)
    assert torch.allclose(network(measurement, operator), image, atol=1e-6)


def test_a_threshold_above_all_features_leaves_no_correction(measured):
    measurement, operator = measured
    network = ISTANetPlus(features=4, iterations=1)
    torch.nn.init.constant_(network.iterations[0].correction.soft_threshold, 1e6)
    expected = gradient_step(operator.adjoint(measurement), measurement, operator, 0.5)
    assert torch.allclose(network(measurement, operator), expected, atol=1e-6)


def test_every_weight_has_a_finite_gradient_also_of_black_images(measured):
    measurement, operator = measured
    for image in (measurement, torch.zeros_like(measurement)):
        network = ISTANetPlus(features=4, iterations=2)
        reconstruction, penalty = network.forward_with_penalty(image, operator)
        (reconstruction.square().mean() + penalty).backward()
        assert all(weight.grad.isfinite().all() for weight in network.parameters())
