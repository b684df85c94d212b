"""On a GPU everything is what it is on the CPU, to the same bounds."""

import warnings
from copy import deepcopy

import pytest
import torch
from test_linalg_threshold import SPECTRA, with_spectrum

from lowrank_unroll.linalg import Firm, Hard, Soft, Truncation, singular_value_threshold, spectral_function, svd
from lowrank_unroll.linalg.native.on_gpu import WARP
from lowrank_unroll.modules import ColorCS, DynamicMRI
from lowrank_unroll.networks import (
    LocallyLowRankNet,
    LocallyLowRankRecon,
    LplusSNet,
    NonLocalLowRankNet,
    SLRNet,
    T2LRNet,
    TLRNet,
)
from lowrank_unroll.operators import Mask, SampledFourier, coil_operator
from lowrank_unroll.prox import Blocks, LowRankProx, Patches
from lowrank_unroll.runs.cuda_graphs import CUDAGraphs
from lowrank_unroll.sample import Sample

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")

DEVICE = "cuda"
SINGLE = {torch.float32: torch.float64, torch.complex64: torch.complex128}
BATCHES = [
    (384, 32, 32), (300, 24, 108), (300, 64, 16), (4096, 16, 12), (2, 128, 128), (1, 4096, 16), (5, 1500, 7),
    (9, 17, 31),
]  # fmt: skip


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


@pytest.mark.parametrize("dtype", SINGLE)
@pytest.mark.parametrize("shape", BATCHES)
def test_threshold_of_random_matrices(shape, dtype):
    A = torch.randn(shape, dtype=dtype, device=DEVICE)
    A = A / torch.linalg.matrix_norm(A, 2)[:, None, None]
    assert_agrees(lambda A: singular_value_threshold(A, 0.3), A, torch.randn_like(A), 2e-5)


@pytest.mark.parametrize("dtype", [*SINGLE, torch.float64, torch.complex128])
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_threshold_at_ties(spectrum, dtype):
    double = SINGLE.get(dtype, dtype)
    A = torch.stack([with_spectrum(SPECTRA[spectrum], double) for _ in range(600)]).to(DEVICE, dtype)
    tolerance = 2e-5 if dtype in SINGLE else 1e-11
    assert_agrees(lambda A: singular_value_threshold(A, 0.5), A, torch.randn_like(A), tolerance)


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


@pytest.mark.parametrize("shape", [(300, 32, 12), (300, 12, 48), (2, 64, 40)])
def test_of_bad_values_come_bad_values_or_a_message(shape):
    """The GPU is not waited for, so that not every solver says so."""
    A = torch.randn(shape, device=DEVICE)
    A[1, 3, 2] = torch.nan
    if min(shape[-2:]) > WARP:
        with pytest.raises(ValueError, match=r"\(1,\)"):
            singular_value_threshold(A, 0.1)
        return
    shrunk = singular_value_threshold(A, 0.1)
    assert shrunk[1].isnan().all()
    assert shrunk[0].isfinite().all()


@pytest.mark.parametrize("prox", [LowRankProx(matricization=Patches()), LowRankProx(matricization=Blocks(4))], ids=repr)
def test_low_rank_steps(prox):
    image = torch.rand(2, 3, 24, 20)
    image[:, :, :10] = 0.5  # a flat region, whose groups tie
    results = []
    for device in ("cpu", DEVICE):
        block, leaf = prox.to(device), image.to(device).requires_grad_()
        matches = block.matricization.locate(leaf)
        value = block(leaf, None if matches is None else block.matricization.locate(image).to(device))
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
    mask = (torch.rand(2, 1, *shape[1:], generator=generator) < 0.5).to(device)
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


@pytest.fixture
def _nothing_waits():
    """Raise an error if the code of the context waits for the GPU."""
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("_nothing_waits")
@pytest.mark.parametrize(("network", "problem"), [*NETWORKS, (LocallyLowRankRecon, series_problem)])
def test_no_network_waits(network, problem):
    net, (measurement, operator) = network(iterations=2).to(DEVICE), problem(DEVICE)
    measurement.requires_grad_()
    warnings.simplefilter("ignore")
    for mode in ("default", "error"):  # kernels are loaded when they are first called, which may wait
        torch.cuda.set_sync_debug_mode(mode)
        net(measurement, operator).abs().square().sum().backward()
    torch.cuda.set_sync_debug_mode("default")
    assert measurement.grad.isfinite().all()


def training(module, reconstruct, batch):
    """The losses of five steps, and the last weights."""
    optimiser, losses = torch.optim.SGD(module.network.parameters(), 0.01), []
    for _ in range(5):
        optimiser.zero_grad()
        image, penalty = reconstruct(batch)
        loss = (image - batch.target).abs().square().mean() + penalty
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses, [parameter.detach().cpu() for parameter in module.network.parameters()]


def colour_batch():
    measurement, operator = colour_problem(DEVICE)
    return Sample(measurement, measurement + 0.1, operator.mask.bool(), None, torch.ones(2), "", "")


def series_batch():
    measurement, operator = series_problem(DEVICE)
    target = operator.adjoint(measurement)
    mask, coils = operator.outer.mask.bool(), operator.inner.sensitivities
    return Sample(measurement, target, mask, coils, torch.ones(2), "", "")


@pytest.mark.parametrize(
    ("module", "batch"),
    [
        (lambda: ColorCS(NonLocalLowRankNet(iterations=2)), colour_batch),
        (lambda: DynamicMRI(LocallyLowRankNet(iterations=2, start=LocallyLowRankRecon(iterations=3))), series_batch),
        (lambda: DynamicMRI(SLRNet(iterations=2)), series_batch),
    ],
)
def test_a_replayed_training_is_that_of_single_kernels(module, batch, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    module, batch = module().to(DEVICE).train(), batch()
    other = deepcopy(module)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # it says so if it could not be captured
        losses, weights = training(module, CUDAGraphs(module.network, module.reconstruct), batch)
    expected, expected_weights = training(other, other.reconstruct, batch)
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-6)
    for one, same in zip(weights, expected_weights, strict=True):
        torch.testing.assert_close(one, same, rtol=1e-3, atol=1e-5)
