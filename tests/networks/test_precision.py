"""Mixed precision: convolutions in half precision, everything else as exact as without, in value and gradient."""

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import quiet_trainer, tiny
from lightning.pytorch.plugins import MixedPrecision
from torch.utils.data import DataLoader

from datamodules.dynamic_mri.acquisition import Acquisition
from datamodules.photographs.image_files import Images
from datamodules.photographs.masked_images import MaskedImages
from lowrank_unroll.linalg import (
    Firm,
    at_least_single,
    singular_value_threshold,
    spectral_function,
    svd,
    tensor_singular_value_threshold,
)
from lowrank_unroll.modules import ColorCS, DynamicMRI, NonFiniteGradientError
from lowrank_unroll.networks import DynamicTLRNet, LocallyLowRankNet, LplusSNet, SLRNet, T2LRNet, TLRNet
from lowrank_unroll.operators import CoilSensitivity, Fourier, LinearOperator, Mask, proximal_step
from lowrank_unroll.prox import LowRankProx, RelativeThreshold
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial

HALVES = [torch.bfloat16, torch.float16]
RULES = ["plain", "zero", "clip", "taylor", "pinv"]
DYNAMIC = [DynamicTLRNet, T2LRNet, LplusSNet, SLRNet, LocallyLowRankNet]


class MatrixProduct(LinearOperator):
    """An operator as a user writes it, which autocast would round."""

    def __init__(self, matrix):
        self.matrix = matrix

    def forward(self, image):
        return image @ self.matrix

    def adjoint(self, measurement):
        return measurement @ self.matrix.mH


def acquisition(coils, size):
    maps = torch.randn(2, coils, 1, *size, dtype=torch.complex64)
    return Mask(torch.rand(2, 1, 6, *size) < 0.5) @ Fourier() @ CoilSensitivity(maps / maps.abs().sum(1, keepdim=True))


def proximal(operator, image):
    return proximal_step(image, operator(torch.ones_like(image)), operator, 0.1)


MATRIX = torch.linspace(-1, 1, 30 * 5).sin().reshape(5, 30) / 5
FUNCTIONS = {
    "svt": lambda A: singular_value_threshold(A, 0.7),
    "relative svt": lambda A: singular_value_threshold(A, 0.3, relative=True),
    "firm": lambda A: spectral_function(A, Firm(0.3, 2.0)),
    "tensor svt": lambda A: tensor_singular_value_threshold(A, 0.2),
    **{f"svd {rule}": lambda A, rule=rule: torch.cat([F.flatten() for F in svd(A, rule)]) for rule in RULES},
}
COMPLEX_ONLY = {
    "acquisition": lambda x: acquisition(3, x.shape[-2:])(x),
    "gram": lambda x: acquisition(3, x.shape[-2:]).gram(x),
    "conjugate gradients": lambda x: proximal(acquisition(3, x.shape[-2:]), x),
}
REAL_ONLY = {
    "mask": lambda x: Mask(MATRIX.flatten()[:5] > 0).H(x),
}
# Made of products whose gradients PyTorch itself computes, half precise where autocast is still on.
PRODUCTS = {
    "matrix product": MatrixProduct(MATRIX),
    "adjoint": MatrixProduct(MATRIX.mH).H,
    "conjugate gradients of products": lambda x: proximal(MatrixProduct(MATRIX), x),
    **{f"threshold {rule}": lambda A, rule=rule: RelativeThreshold(rule)(A, torch.tensor(0.2)) for rule in RULES},
}
# Singular values far apart: the rules of the SVD differ in what they make of near ones, not in their rounding.
COLUMNS = torch.tensor([5.0, 3.0, 2.0, 1.0, 0.5])
CASES = [
    *((function, dtype) for function in FUNCTIONS.values() for dtype in (torch.float32, torch.complex64)),
    *((function, torch.complex64) for function in COMPLEX_ONLY.values()),
    *((function, torch.float32) for function in REAL_ONLY.values()),
]
NAMES = [*(f"{name} {kind}" for name in FUNCTIONS for kind in ("real", "complex")), *COMPLEX_ONLY, *REAL_ONLY]


def value(function, x):
    torch.manual_seed(1)
    return function(x)


def gradient(result, x):
    torch.manual_seed(2)
    return torch.autograd.grad(result, x, torch.randn_like(result))[0]


def assert_near(result, expected):
    assert result.dtype == expected.dtype
    assert (result - expected).norm() <= 1e-6 * expected.norm()


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize(("function", "dtype"), CASES, ids=NAMES)
def test_autocast_changes_neither_values_nor_gradients(function, dtype, half):
    x = (torch.randn(2, 6, 7, 5, dtype=dtype) * COLUMNS).requires_grad_()
    expected = value(function, x)
    with torch.autocast("cpu", half):
        result = value(function, x)
        mixed_gradient = gradient(result, x)
    assert_near(result, expected)
    assert_near(mixed_gradient, gradient(expected, x))


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("function", PRODUCTS.values(), ids=PRODUCTS)
def test_autocast_does_not_reach_products(function, half):
    x = (torch.randn(2, 6, 7, 5) * COLUMNS).requires_grad_()
    expected = value(function, x)
    with torch.autocast("cpu", half):
        result = value(function, x)
    assert_near(result, expected)
    assert_near(gradient(result, x), gradient(expected, x))


def test_autocast_changes_no_second_derivatives():
    def second(A):
        (first,) = torch.autograd.grad(singular_value_threshold(A, 0.5).square().sum(), A, create_graph=True)
        return torch.autograd.grad(first.square().sum(), A)[0]

    A = torch.randn(3, 6, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        inside = second(A)
    assert (inside - second(A)).norm() <= 1e-5 * inside.norm()


@pytest.mark.parametrize("half", HALVES)
def test_half_precision_is_decomposed_in_single(half):
    A = torch.randn(4, 6, 5).to(half)
    assert all(factor.dtype == torch.float32 for factor in svd(A))
    assert tensor_singular_value_threshold(A, 0.1).dtype == half
    assert at_least_single(A).dtype == torch.float32
    assert at_least_single(A.to(torch.complex128)).dtype == torch.complex128


def image_batch(*pixels):
    images = Images(list(pixels), [f"image {index}" for index in range(len(pixels))])
    dataset = MaskedImages(images, 0.4, seed=0)
    return Sample.stack([dataset[index] for index in range(len(pixels))])


def noise_batch():
    return image_batch(*np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8))


def series_batch():
    generator = torch.Generator().manual_seed(0)
    cines = torch.randn(2, 4, 16, 12, dtype=torch.complex64, generator=generator)
    acquisition = Acquisition(PseudoRadial(lines=4), coils=2)
    return Sample.stack(
        [acquisition.measure(cine, f"cine {i}", "synthetic", generator) for i, cine in enumerate(cines)]
    )


def case_of(network, **choices):
    """A module for a small network, and a batch."""
    small = network(features=4, iterations=3, **choices)
    for weight in small.parameters():
        if not weight.any():  # what begins at zero would hide the precision of all before it
            torch.nn.init.normal_(weight, std=0.02)
    return (ColorCS(small), noise_batch()) if network is TLRNet else (DynamicMRI(small), series_batch())


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("network", [TLRNet, *DYNAMIC])
class TestNetworks:
    def test_only_convolutions_are_in_half_precision(self, network, half):
        module, batch = case_of(network)
        seen = {"convolution": [], "matrices": []}
        for part in module.modules():
            if isinstance(part, torch.nn.Conv2d | torch.nn.Conv3d):
                part.register_forward_hook(lambda _, inputs, output: seen["convolution"].append(output.dtype))
            if isinstance(part, RelativeThreshold):
                part.register_forward_hook(lambda _, inputs, output: seen["matrices"].extend([inputs[0], output]))
        with torch.autocast("cpu", half):
            states = list(module.network.states(batch.measurement, module.operator(batch)))
        assert set(seen["convolution"]) == {half}
        single = {torch.float32, torch.complex64}
        assert {tensor.dtype for tensor in seen["matrices"]} <= single
        values = (tensor for state in states for tensor in state if tensor.dtype != torch.int64)  # not matches
        assert {tensor.dtype for tensor in values} <= single
        assert states[-1].image.dtype == batch.target.dtype

    def test_reconstruction_and_gradients_are_near_those_of_single_precision(self, network, half):
        module, batch = case_of(network)
        weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
        results = []
        for enabled in (False, True):
            with torch.autocast("cpu", half, enabled=enabled):
                image, penalty = module.network.forward_with_penalty(batch.measurement, module.operator(batch))
            loss = (image - batch.target).abs().square().mean() + penalty
            results.append((image, torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])))
        for single, mixed, tolerance in zip(*results, (0.02, 0.1), strict=True):
            assert 0 < (single - mixed).norm() <= tolerance * single.norm()


def test_any_encoder_may_end_in_half_precision():
    prox = LowRankProx(torch.nn.Conv2d(3, 5, 3), gradient="pinv")
    with torch.autocast("cpu", torch.bfloat16):
        assert prox(torch.randn(2, 3, 8, 8)).dtype == torch.float32


def test_what_was_measured_is_returned_exactly():
    module, batch = case_of(TLRNet)
    with torch.autocast("cpu", torch.bfloat16):
        reconstruction = module(batch)
    assert torch.allclose(reconstruction * batch.mask, batch.measurement, atol=1e-6)


def half_on_cpu(**scaler):
    """16-mixed precision with its gradient scaler, which Lightning's command line gives to GPUs only."""
    return MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu", **scaler))


@pytest.mark.parametrize("network", [TLRNet, *DYNAMIC])
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_every_network_trains(network, precision):
    module, batch = case_of(network)
    before = [parameter.clone() for parameter in module.parameters()]
    choice = {"precision": precision} if precision == "bf16-mixed" else {"plugins": [half_on_cpu()]}
    trainer = quiet_trainer(max_epochs=1, **choice)
    trainer.fit(module, *[DataLoader([batch] * 3, batch_size=None)] * 2)
    assert trainer.global_step == 3
    for old, parameter in zip(before, module.parameters(), strict=True):
        assert parameter.dtype == torch.float32
        assert parameter.isfinite().all()
        assert parameter.requires_grad == (not torch.equal(old, parameter))


class TestGradientScaler:
    def test_an_overflow_is_skipped_until_the_scale_has_fallen(self):
        module, batch = case_of(TLRNet)
        weights, scales = [], []

        class Watch(torch.optim.SGD):
            def zero_grad(self, set_to_none=True):
                weights.append(module.network.iterations[0].prox.encoder.conv0.weight.detach().clone())
                scales.append(plugin.scaler.get_scale())
                super().zero_grad(set_to_none)

        plugin = half_on_cpu(init_scale=2.0**30)
        module.optimizer = lambda parameters: Watch(parameters, lr=0.1)
        trainer = quiet_trainer(max_epochs=1, plugins=[plugin])
        trainer.fit(module, *[DataLoader([batch] * 12, batch_size=None)] * 2)
        unchanged = [torch.equal(one, other) for one, other in pairwise(weights)]
        halved = [later == scale / 2 for scale, later in pairwise(scales)]
        assert unchanged == halved
        assert halved[0]
        assert not halved[-1]
        assert 1 < scales[-1] < 2.0**30

    def test_a_gradient_that_no_scale_makes_finite_is_an_error(self):
        module = ColorCS(TLRNet(features=4, iterations=2, gradient="plain"))
        before = {name: value.clone() for name, value in module.state_dict().items()}
        batch = image_batch(np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 128, np.uint8))
        trainer = quiet_trainer(max_epochs=1, plugins=[half_on_cpu(init_scale=4.0)])
        with pytest.raises(NonFiniteGradientError, match=r"batch 2, step 2.*Batch: image 0, image 1"):
            trainer.fit(module, *[DataLoader([batch] * 9, batch_size=None)] * 2)
        assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())

    def test_bfloat16_has_no_scale_to_lower(self):
        module = ColorCS(TLRNet(features=4, iterations=2, gradient="plain"))
        batch = image_batch(np.zeros((16, 16, 3), np.uint8), np.full((16, 16, 3), 128, np.uint8))
        with pytest.raises(NonFiniteGradientError, match="batch 0, step 0"):
            quiet_trainer(max_epochs=1, precision="bf16-mixed").fit(module, *[DataLoader([batch], batch_size=None)] * 2)


class Adjoint(torch.nn.Module):
    def forward(self, measurement, operator):
        return operator.adjoint(measurement)


@pytest.mark.parametrize("task", [ColorCS, DynamicMRI])
def test_metrics_are_those_of_single_precision(task):
    batch = noise_batch() if task is ColorCS else series_batch()
    found = []
    for precision in ("32-true", "bf16-mixed"):
        trainer = quiet_trainer(precision=precision)
        found += trainer.test(task(Adjoint()), DataLoader([batch], batch_size=None), verbose=False)
    assert found[0].keys() == found[1].keys()
    assert all(found[1][name] == pytest.approx(value, rel=1e-6) for name, value in found[0].items())


@pytest.mark.parametrize(
    "config", ["color_cs/demo.yaml", pytest.param("dynamic_mri/lpsnet.yaml", marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("empty_figures")
def test_the_command_line_takes_a_precision(config, command_line):
    words = [
        "--config",
        config,
        *tiny(config),
        "--trainer.precision",
        "bf16-mixed",
        "--trainer.callbacks+=SpectrumMonitor",
    ]
    command_line("fit", *words)
    command_line("test", *words)
    (checkpoint,) = Path("runs").rglob("best.ckpt")
    weights = torch.load(checkpoint, weights_only=True)["state_dict"].values()
    assert {weight.dtype for weight in weights if weight.is_floating_point()} == {torch.float32}
    assert len(list(Path("runs").rglob("test/metrics.csv"))) == 1


@pytest.mark.usefixtures("empty_figures")
def test_without_a_gpu_lightning_trains_in_bfloat16_instead_of_half(command_line):
    with pytest.warns(UserWarning, match="fp16 is not supported on CPU. Using `precision='bf16-mixed'` instead"):
        command_line("fit", "--config", "color_cs/demo.yaml", *tiny("color_cs/"), "--trainer.precision", "16-mixed")


# The words of a short run, those of its network, and how far apart in dB trainings may end: in colour, another seed
# ends 0.4 dB away. From the better start of its demo it reaches 45 dB, where the rounding of bfloat16 shows.
SHORT_RUNS = {
    "color_cs/demo.yaml": (["--trainer.max_epochs", "1"], ["--model.network.start", "ZeroFilled"], 0.3),
    "dynamic_mri/demo.yaml": (["--trainer.max_epochs", "1", "--trainer.limit_train_batches", "24"], [], 0.1),
}
PRECISIONS = ("32-true", "bf16-mixed")


@pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(),
    reason="this processor has no bfloat16, and emulates a step in twelve times the time",
)
@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize("config", SHORT_RUNS)
def test_mixed_precision_reconstructs_as_well_as_single(config, command_line):
    short, network, tolerance = SHORT_RUNS[config]
    found = {}
    for trained in PRECISIONS:
        words = [
            "--config",
            config,
            *short,
            *network,
            "--trainer.precision",
            trained,
            "--trainer.logger.save_dir",
            trained,
        ]
        command_line("fit", *words)
        for used in PRECISIONS:
            folder = f"{trained}, {used}"
            words = ["--config", config, *network, "--trainer.precision", used, "--trainer.logger.save_dir", folder]
            command_line("validate", *words, "--ckpt_path", next(Path(trained).rglob("best.ckpt")))
            with next(Path(folder).rglob("metrics.csv")).open() as file:
                (found[trained, used],) = (float(row["val/psnr"]) for row in csv.DictReader(file))
        same_weights = [found[trained, used] for used in PRECISIONS]
        assert same_weights[0] != same_weights[1]
        assert same_weights[0] == pytest.approx(same_weights[1], abs=0.05)
    trained_apart = [found[precision, precision] for precision in PRECISIONS]
    assert trained_apart[0] == pytest.approx(trained_apart[1], abs=tolerance)
