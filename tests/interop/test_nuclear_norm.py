"""The nuclear norm with an absolute threshold, which needs no other library."""

import pytest
import torch

from lowrank_unroll.interop.nuclear_norm import ComplexChannels, check_partition, nuclear_norm, shrink
from lowrank_unroll.linalg import singular_value_threshold
from lowrank_unroll.networks.layers.convolutions import from_channels
from lowrank_unroll.prox import Blocks, Casorati, Frames, LowRankProx, Patches

PARTITIONS = [Frames(), Casorati(), Blocks(4), Blocks(4, offsets=((1, 2),)), ComplexChannels(Blocks(4))]


def series():
    return torch.randn(2, 2, 5, 8, 6, dtype=torch.float64)


@pytest.mark.parametrize("matricization", PARTITIONS, ids=str)
def test_shrinkage_is_the_proximal_map_of_the_nuclear_norm(matricization):
    x, threshold = series(), 1.5
    shrunk = shrink(x, threshold, matricization)

    def objective(z):
        return threshold * nuclear_norm(z, matricization) + (z - x).square().flatten(1).sum(1) / 2

    # The objective is strongly convex: away from the minimiser it grows by half the squared distance at least.
    for step in (1e-3 * torch.randn_like(x), torch.randn_like(x), -shrunk, x - shrunk):
        growth = objective(shrunk + step) - objective(shrunk)
        assert (growth >= step.square().flatten(1).sum(1) / 2 - 1e-9).all()


def test_one_matrix_is_shrunk_to_the_bit_as_by_the_function():
    image, thresholds = torch.randn(3, 7, 5), torch.tensor([0.0, 0.7, 2.0])
    assert torch.equal(shrink(image, thresholds), singular_value_threshold(image, thresholds))


@pytest.mark.parametrize("shape", [(2,), (2, 1, 1, 1)])
def test_each_image_has_its_threshold(shape):
    x, thresholds = series(), torch.tensor([0.5, 2.0], dtype=torch.float64)
    apart = [shrink(image[None], threshold, Blocks(4)) for image, threshold in zip(x, thresholds, strict=True)]
    assert torch.allclose(shrink(x, thresholds.reshape(shape), Blocks(4)), torch.cat(apart))


@pytest.mark.parametrize("matricization", [Casorati(), Blocks(4), Patches(radius=2)], ids=str)
def test_complex_channels_are_complex_numbers(matricization):
    x, prox = series().float(), LowRankProx(matricization=matricization)
    channels = LowRankProx(matricization=ComplexChannels(matricization))
    assert torch.equal(from_channels(channels(x)), prox(from_channels(x)))
    assert channels.threshold_unit == prox.threshold_unit


def test_the_nuclear_norm_has_a_subgradient_at_repeated_and_zero_values():
    x = torch.diag(torch.tensor([2.0, 2.0, 0.0]))[None].requires_grad_()
    nuclear_norm(x).sum().backward()
    assert torch.allclose(x.grad[0, :2, :2], torch.eye(2), atol=1e-6)
    assert torch.linalg.matrix_norm(x.grad[0], 2) <= 1 + 1e-6


@pytest.mark.parametrize("matricization", PARTITIONS, ids=str)
def test_a_partition_is_taken(matricization):
    check_partition(matricization)


@pytest.mark.parametrize("matricization", [Patches(), Blocks(4, offsets=((0, 0), (2, 2))), ComplexChannels(Patches())])
def test_matrices_that_share_pixels_are_refused(matricization):
    with pytest.raises(ValueError, match="share pixels"):
        check_partition(matricization)
