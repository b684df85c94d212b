"""A low-rank step before each iteration of another network."""

import pytest
import torch
from test_networks import acquisition

from lowrank_unroll.networks import CRNN, DynamicISTANetPlus, ISTANetPlus, T2LRNet, WithLowRank, ZeroFilled
from lowrank_unroll.networks.unrolled import collected_penalties
from lowrank_unroll.operators import Mask
from lowrank_unroll.prox import LowRankProx, remove_shrinkage, trained_low_rank_steps


@pytest.fixture(params=[CRNN, DynamicISTANetPlus], ids=lambda kind: kind.__name__)
def network(request):
    torch.manual_seed(0)
    return request.param(features=4, iterations=3)


def test_without_the_shrinkage_it_is_the_network_alone(network):
    measurement, operator = acquisition()
    alone = network(measurement, operator)
    both = WithLowRank(network)
    assert not torch.allclose(both(measurement, operator), alone, atol=1e-6)
    remove_shrinkage(both)
    assert torch.equal(both(measurement, operator), alone)


def test_each_set_of_weights_gets_a_step_that_learns(network):
    sets = len(network.iterations)
    both = WithLowRank(network)
    steps = trained_low_rank_steps(both)
    assert len(steps) == sets
    both(*acquisition()).abs().square().sum().backward()
    assert all(step.threshold_logit.grad != 0 for step in steps)


def test_the_step_comes_before_the_iteration():
    torch.manual_seed(0)
    mask = torch.rand(1, 3, 8, 8) < 0.5
    measurement, operator = torch.rand(1, 3, 8, 8) * mask, Mask(mask)
    network = ISTANetPlus(features=4, iterations=1)
    (iteration,) = network.iterations
    state = network.initial_state(measurement)
    low_rank = LowRankProx(matricization="image", threshold_logit=-6.7)(measurement)
    expected = iteration(state._replace(image=low_rank), measurement, operator).image
    assert torch.allclose(WithLowRank(network, "image")(measurement, operator), expected, atol=1e-6)


def test_penalties_of_the_network_join_the_loss():
    torch.manual_seed(0)
    both = WithLowRank(DynamicISTANetPlus(features=4, iterations=2))
    with collected_penalties(both) as penalties:
        both(*acquisition())
    assert sum(penalties) > 0


def test_networks_that_have_no_iterations_or_low_rank_already_are_refused():
    with pytest.raises(TypeError, match=r"^network is ZeroFilled, expected an UnrolledNetwork"):
        WithLowRank(ZeroFilled())
    with pytest.raises(ValueError, match=r"^network is T2LRNet, expected one that does not learn low-rank steps"):
        WithLowRank(T2LRNet(features=2, iterations=1))
