"""Our steps in iterations of bartorch, and its operators as ours."""

from importlib import import_module

import pytest
import torch
from support.libraries import import_or_skip

from lowrank_unroll.interop.bartorch import BartorchOperator
from lowrank_unroll.operators import CoilSensitivity, SampledFourier
from lowrank_unroll.prox import Casorati, LowRankProx


@pytest.fixture(scope="session")
def bartorch():
    library = import_or_skip("bartorch")
    for part in ("learning", "linop", "optim", "priors"):
        import_module(f"bartorch.{part}")
    return library


def scan():
    """Coil sensitivities (coil, height, width), whose squares add up to 1, and a mask (height, width)."""
    maps = torch.randn(4, 16, 12, dtype=torch.complex64)
    return maps / maps.abs().square().sum(0).sqrt(), torch.rand(16, 12) < 0.5


def test_an_operator_of_bartorch_is_ours(bartorch):
    maps, mask = scan()
    sense = bartorch.linop.CartesianSense(maps, (16, 12), pattern=mask.to(torch.complex64))
    operator, ours = BartorchOperator(sense), SampledFourier(mask) @ CoilSensitivity(maps[None, :, None])
    images = torch.randn(3, 16, 12, dtype=torch.complex64)
    operator.check_adjoint(images)
    kspace = operator(images)
    assert torch.allclose(kspace, ours(images[:, None])[:, :, 0], atol=1e-5)
    assert torch.allclose(operator.adjoint(kspace), ours.adjoint(kspace[:, :, None])[:, 0], atol=1e-5)


def test_our_step_is_an_implicit_prior_of_a_network_that_trains(bartorch):
    prox = LowRankProx(matricization=Casorati())
    operator = bartorch.linop.FFT((5, 16, 12), axes=(-1, -2))
    block = bartorch.optim.ADMMBlock(bartorch.priors.ImplicitPrior(prox), rho=0.05, cg_maxiter=5)
    network = bartorch.learning.Unrolled(block, iterations=2)
    truth = torch.ones(5, 16, 12, dtype=torch.complex64)  # rank one: its zero singular values are tied
    network(operator(truth), operator).abs().square().sum().backward()
    assert prox.threshold_logit.grad.isfinite()
    assert prox.threshold_logit.grad != 0


def test_the_prior_is_our_step(bartorch):
    prox, series = LowRankProx(matricization=Casorati()), torch.randn(5, 16, 12, dtype=torch.complex64)
    shrunk = bartorch.priors.ImplicitPrior(prox).prox(series, image_shape=(5, 16, 12))
    assert torch.equal(shrunk, prox(series[None])[0])
