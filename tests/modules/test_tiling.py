"""Tiles of networks that reach some pixels far: values beyond the reach do not matter, and no seam shows."""

import pytest
import torch

from lowrank_unroll.modules.tiling import reconstruct_tiles
from lowrank_unroll.networks import FeatureUnrolledNet, NormalizedConvolution
from lowrank_unroll.operators import Mask


def random_network():
    """A network whose weights all matter, as after training; it reaches 5 pixels before its iterations."""
    network = FeatureUnrolledNet(features=4, iterations=2, blocks=1, start=NormalizedConvolution([1.0, 0.5]))
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.1)
    return network.double()


@pytest.mark.parametrize("network", [random_network(), NormalizedConvolution().double()])
def test_values_within_the_reach_matter_and_those_beyond_do_not(network):
    side = 2 * network.reach + 7
    measurement = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    middle = network(measurement, Mask(torch.rand(measurement.shape) < 0.8))[..., side // 2, side // 2].sum()
    (gradient,) = torch.autograd.grad(middle, measurement)
    matter = gradient.abs().sum((0, 1, 3)).nonzero().flatten()
    assert (int(matter.min()), int(matter.max())) == (3, side - 4)


@pytest.mark.parametrize("size", [(180, 90), (180, 20), (9, 260)])
def test_tiles_of_a_network_of_known_reach_are_fewer_and_give_what_it_gives_of_the_whole_image(size):
    network, mask = random_network(), torch.rand(1, 3, *size) < 0.5
    measurement, tiles = torch.rand(mask.shape, dtype=torch.float64) * mask, []
    whole = network(measurement, Mask(mask))
    network.register_forward_hook(lambda _, inputs, output: tiles.extend(inputs[0]))
    assert torch.allclose(reconstruct_tiles(network, measurement, mask, 80), whole, atol=1e-12)
    fewer = len(tiles)
    network.reach = None
    reconstruct_tiles(network, measurement, mask, 80)
    assert fewer < len(tiles) - fewer
