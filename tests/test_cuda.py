"""On a GPU everything is what it is on the CPU, to the same bounds."""

import pytest
import torch
from test_linalg_threshold import SPECTRA, with_spectrum

from lowrank_unroll.linalg import Firm, Hard, Soft, Truncation, singular_value_threshold, spectral_function, svd
from lowrank_unroll.networks import LocallyLowRankNet, LplusSNet, NonLocalLowRankNet, SLRNet, T2LRNet, TLRNet
from lowrank_unroll.operators import Mask, SampledFourier, coil_operator
from lowrank_unroll.prox import Blocks, LowRankProx, Patches

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

DEVICE = "cuda"
SINGLE = {torch.float32: torch.float64, torch.complex64: torch.complex128}
BATCHES = [(384, 32, 32), (300, 24, 108), (300, 64, 16), (4096, 16, 12), (2, 128, 128), (1, 4096, 16)]


def in_double_precision(function, A, G):
    """The value and gradient of a function of matrices on the CPU."""
    A = A.detach().cpu().to(SINGLE.get(A.dtype, A.dtype)).requires_grad_()
    value = function(A)
    (gradient,) = torch.autograd.grad(value, A, G.cpu().to(A.dtype))
    return value.detach(), gradient


def assert_agrees(function, A, G, tolerance):
    """To a tolerance relative to the norm of each matrix, and of what its gradient is of."""
    expected = in_double_precision(function, A, G)
    A = A.requires_grad_()
    value = function(A)
    (gradient,) = torch.autograd.grad(value, A, G)
    for ours, reference, scale in ((value, expected[0], A), (gradient, expected[1], G)):
        error = torch.linalg.matrix_norm(ours.detach().cpu().to(reference.dtype) - reference)
        assert (error <= tolerance * torch.linalg.matrix_norm(scale.detach()).cpu()).all()


@pytest.mark.parametrize("driver", ["auto", "svd", "gram"])
@pytest.mark.parametrize("dtype", SINGLE)
@pytest.mark.parametrize("shape", BATCHES)
def test_threshold_of_random_matrices(shape, dtype, driver):
    A = torch.randn(shape, dtype=dtype, device=DEVICE)
    A = A / torch.linalg.matrix_norm(A, 2)[:, None, None]
    assert_agrees(lambda A: singular_value_threshold(A, 0.3, driver=driver), A, torch.randn_like(A), 2e-5)


@pytest.mark.parametrize("driver", ["auto", "svd", "gram"])
@pytest.mark.parametrize("dtype", [*SINGLE, torch.float64, torch.complex128])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_threshold_at_ties(spectrum, dtype, driver):
    double = SINGLE.get(dtype, dtype)
    A = torch.stack([with_spectrum(SPECTRA[spectrum], double) for _ in range(600)]).to(DEVICE, dtype)
    tolerance = 2e-5 if dtype in SINGLE else 1e-11
    assert_agrees(lambda A: singular_value_threshold(A, 0.5, driver=driver), A, torch.randn_like(A), tolerance)


@pytest.mark.parametrize("dtype", SINGLE)
@pytest.mark.parametrize("shrinkage", [Soft(0.2), Firm(0.2), Hard(0.2), Truncation(3)], ids=repr)
def test_other_shrinkages(shrinkage, dtype):
    # Spread, so that rounding decides no jump.
    values = torch.tensor([1.0, 0.8, 0.5, 0.1], dtype=torch.float64)
    A = torch.stack([with_spectrum(values.tolist(), SINGLE[dtype], 9) for _ in range(50)]).to(DEVICE, dtype)
    assert_agrees(lambda A: spectral_function(A, shrinkage), A, torch.randn_like(A), 2e-5)


@pytest.mark.parametrize("gradient", ["pinv", "taylor", "clip", "zero", "plain"])
def test_rules_of_the_svd(gradient):
    A = torch.randn(20, 12, 7, dtype=torch.complex128, device=DEVICE)

    def threshold(A):
        U, S, Vh = svd(A, gradient)
        return (U * (S - 1.0).relu()[..., None, :]) @ Vh

    assert_agrees(threshold, A, torch.randn_like(A), 1e-9)


def test_bad_values_are_named():
    A = torch.randn(300, 32, 12, device=DEVICE)
    A[7, 3, 2] = torch.nan
    for driver in ("auto", "svd", "gram"):
        with pytest.raises(ValueError, match=r"\(7,\)"):
            singular_value_threshold(A, 0.1, driver=driver)


@pytest.mark.parametrize("prox", [LowRankProx(matricization=Patches()), LowRankProx(matricization=Blocks(4))], ids=repr)
def test_low_rank_steps(prox):
    image = torch.rand(2, 3, 24, 20)
    image[:, :, :10] = 0.5  # a flat region, whose groups tie
    results = []
    for device in ("cpu", DEVICE):
        block, leaf = prox.to(device), image.to(device).requires_grad_()
        places = block.matricization.locate(leaf)
        value = block(leaf, None if places is None else block.matricization.locate(image).to(device))
        gradients = torch.autograd.grad(value.square().sum(), (leaf, block.threshold_logit))
        results.append([value.detach().cpu(), *(gradient.cpu() for gradient in gradients)])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def colour_problem(device):
    generator = torch.Generator().manual_seed(1)
    mask = (torch.rand(2, 3, 24, 20, generator=generator) < 0.5).float().to(device)
    image = torch.rand(2, 3, 24, 20, generator=generator).to(device)
    return mask * image, Mask(mask)


def series_problem(device):
    generator = torch.Generator().manual_seed(1)
    shape = (2, 4, 24, 20)
    image = torch.complex(*(torch.rand(shape, generator=generator) for _ in range(2)))
    coils = torch.randn(2, 3, 1, 24, 20, generator=generator, dtype=torch.complex64)
    coils = (coils / coils.norm(dim=1, keepdim=True)).to(device)
    mask = (torch.rand(2, 1, *shape[1:], generator=generator) < 0.5).float().to(device)
    operator = SampledFourier(mask) @ coil_operator(coils)
    return operator(image.to(device)), operator


NETWORKS = [
    (TLRNet, colour_problem), (NonLocalLowRankNet, colour_problem), (T2LRNet, series_problem),
    (LplusSNet, series_problem), (SLRNet, series_problem), (LocallyLowRankNet, series_problem),
]  # fmt: skip


@pytest.mark.parametrize(("network", "problem"), NETWORKS)
def test_a_network_and_its_gradient(network, problem, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    net = network(iterations=2)
    results = []
    for device in ("cpu", DEVICE):
        net.zero_grad()  # before moving, which would take the gradients of the last device along
        net.to(device)
        image = net(*problem(device))
        image.abs().square().sum().backward()
        gradients = [parameter.grad.cpu() for parameter in net.parameters() if parameter.grad is not None]
        results.append([image.detach().cpu(), *gradients])
    for one, other in zip(*results, strict=True):
        assert (one - other).norm() <= 1e-3 * one.norm() + 1e-6
