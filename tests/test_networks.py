import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowrank_unroll.networks import TLRNet, load_reference_weights
from lowrank_unroll.operators import Mask

RULES = ["plain", "zero", "clip", "taylor", "pinv"]


@pytest.fixture
def vectors(reference_vectors):
    return reference_vectors("tlr_net_color")


@pytest.fixture
def measured():
    torch.manual_seed(0)
    mask = torch.rand(2, 3, 16, 16) < 0.4
    return torch.rand(2, 3, 16, 16) * mask, Mask(mask)


@pytest.mark.parametrize("gradient", ["exact", *RULES])
def test_tlr_net_reproduces_the_published_network(gradient, vectors):
    network = TLRNet(iterations=3, gradient=gradient)
    load_reference_weights(network, vectors)
    measurement = torch.tensor(vectors["measurement"], requires_grad=True)
    operator = Mask(torch.tensor(vectors["mask"]) > 0)

    reconstruction = network(measurement, operator)
    expected = torch.tensor(vectors["out/reconstruction"])
    assert (reconstruction - expected).norm() <= 1e-5 * expected.norm()

    # The published network starts from the measurement itself, not from A^H of it, so its gradient with respect to the
    # measurement has parts outside the mask; walking the iterations from there reproduces those too.
    state = network.initial_state(measurement)
    for iteration in network.iterations:
        state = iteration(state, measurement, operator)
    (state.image * torch.tensor(vectors["cotangent"])).sum().backward()
    published = "pinv" if gradient == "exact" else gradient  # no ties here: the exact gradient is the same
    expected = torch.tensor(vectors[f"grad/{published}/measurement"])
    assert (measurement.grad - expected).norm() <= 1e-3 * expected.norm()
    for index, iteration in enumerate(network.iterations):
        expected = torch.tensor(vectors[f"grad/{published}/iteration{index}.threshold_logit"])
        assert (iteration.prox.threshold_logit.grad - expected).abs() <= 1e-3 * expected.abs()


def test_tlr_net_has_the_published_size():
    assert sum(parameter.numel() for parameter in TLRNet().parameters()) == 63_380


@given(st.floats(1e-3, 1e3))
def test_networks_are_positively_homogeneous(factor):
    torch.manual_seed(0)
    network, mask = TLRNet(iterations=2, features=4), torch.rand(1, 3, 8, 8) < 0.5
    y = torch.rand(1, 3, 8, 8) * mask
    assert torch.allclose(
        network(factor * y, Mask(mask)), factor * network(y, Mask(mask)), rtol=1e-3, atol=1e-5 * factor
    )


def test_networks_return_what_was_measured(measured):
    measurement, operator = measured
    assert torch.allclose(operator(TLRNet(iterations=2)(measurement, operator)), measurement, atol=1e-6)


def test_states_can_be_walked(measured):
    network = TLRNet(iterations=3, features=4)
    images = [state.image for state in network.states(*measured)]
    assert len(images) == 4
    assert torch.equal(images[0], measured[0])
    assert torch.equal(images[-1], network(*measured))


def test_every_parameter_that_trains_has_a_gradient(measured):
    network = TLRNet(iterations=2, features=4)
    network(*measured).square().sum().backward()
    untouched = {name for name, parameter in network.named_parameters() if parameter.grad is None}
    assert untouched == {"iterations.1.multiplier_step"}
    assert not network.iterations[1].multiplier_step.requires_grad


def test_wrong_reference_weights_are_refused(vectors):
    weights = dict(vectors)
    with pytest.raises(ValueError, match="no place for the reference weights iteration2"):
        load_reference_weights(TLRNet(iterations=2), weights)
    with pytest.raises(ValueError, match=r"no reference weights for .*iteration3\.multiplier_step"):
        load_reference_weights(TLRNet(iterations=4), weights)
    with pytest.raises(ValueError, match=r"encoder\.conv0 has shape \(16, 3, 3, 3\), expected \(8, 3, 3, 3\)"):
        load_reference_weights(TLRNet(iterations=3, features=8), weights)
