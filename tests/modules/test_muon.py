"""The optimizer of kernels."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from lowrank_unroll.modules import KernelMuon
from lowrank_unroll.modules.muon import orthogonalized


@pytest.mark.parametrize("shape", [(16, 144), (144, 16), (20, 20)])
def test_singular_vectors_stay_and_values_become_alike(shape):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    U, _, Vh = torch.linalg.svd(matrix, full_matrices=False)
    between = U.mT @ orthogonalized(1e-4 * matrix) @ Vh.mT
    values = between.diagonal()
    assert torch.allclose(between, torch.diag(values), atol=1e-4)
    if shape[0] != shape[1]:  # of a square one the smallest value is near zero
        assert values.min() > 0.6
    assert values.max() < 1.3
    assert not orthogonalized(torch.zeros(shape)).any()


def moved(optimizer, weights, steps=3):
    """Return the parameters that an optimizer finds for quadratic losses of given weights."""
    weights = [nn.Parameter(weight.clone()) for weight in weights]
    chosen = optimizer(weights)
    for _ in range(steps):
        chosen.zero_grad()
        chosen.step(lambda: sum((weight - 1).square().sum() for weight in weights).backward())
    return [weight.detach() for weight in weights]


def test_all_but_hidden_kernels_is_moved_by_adam():
    torch.manual_seed(0)
    weights = [torch.randn(shape) for shape in ((16, 3, 3, 3), (6, 16, 3, 3), (5,), (20, 30))]
    ours = moved(lambda p: KernelMuon(p, lr=0.01), weights)
    adam = moved(lambda p: torch.optim.Adam(p, lr=0.01, betas=(0.9, 0.99)), weights)
    assert all(map(torch.equal, ours, adam))


def test_updates_of_kernels_are_as_large_as_is_said_whatever_the_gradients_are():
    torch.manual_seed(0)
    (kernel,) = weights = [torch.randn(16, 16, 3, 3)]
    (after,) = moved(lambda p: KernelMuon(p, lr=0.01), weights, steps=1)
    assert float((after - kernel).square().mean().sqrt()) == pytest.approx(0.2 * 0.01, rel=0.25)


def test_it_goes_on_from_its_state():
    torch.manual_seed(0)
    weights = [nn.Parameter(torch.randn(16, 16, 3, 3)), nn.Parameter(torch.randn(4))]
    optimizer = KernelMuon(weights)

    def step(optimizer, weights):
        optimizer.zero_grad()
        sum(weight.square().sum() for weight in weights).backward()
        optimizer.step()

    step(optimizer, weights)
    again = [nn.Parameter(weight.detach().clone()) for weight in weights]
    other = KernelMuon(again)
    other.load_state_dict(deepcopy(optimizer.state_dict()))
    step(optimizer, weights)
    step(other, again)
    assert all(map(torch.equal, weights, again))
