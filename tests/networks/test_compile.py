"""The compiler changes how fast a network trains, and neither its numbers nor the names of its weights."""

from pathlib import Path

import pytest
import torch
from conftest import tiny
from test_precision import DYNAMIC, case_of

from lowrank_unroll.modules import ColorCS
from lowrank_unroll.networks import LplusSNet, TLRNet
from lowrank_unroll.networks.layers import convolutions
from lowrank_unroll.networks.layers.compilation import Compiled
from lowrank_unroll.networks.layers.convolutions import ImageConvolutions, SeriesConvolutions
from lowrank_unroll.operators import Mask

# The compiler looks at it, and hides the warning; which does not help where warnings are errors.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@pytest.fixture(autouse=True)
def compiler(monkeypatch):
    """A compiler that has seen nothing, whose state no other test sees; counts what it compiles."""
    monkeypatch.setattr(convolutions, "_convolve_compiled", Compiled(convolutions._convolve))
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield torch._dynamo.utils.counters["stats"]
    torch._dynamo.reset()


def step(module, batch):
    """The reconstruction of a training step, and its gradients."""
    weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
    reconstruction, penalty = module.reconstruct(batch)
    loss = module.loss(reconstruction, batch) + penalty
    return [reconstruction, *torch.autograd.grad(loss, weights)]


def assert_same_step(module, batch):
    module.network.compile()
    compiled = step(module, batch)
    for part in module.modules():
        if isinstance(part, convolutions.Convolutions):
            part.compiled = False
    for one, other in zip(compiled, step(module, batch), strict=True):
        assert (one - other).norm() <= 1e-4 * other.norm()


@pytest.mark.slow
@pytest.mark.parametrize("network", [TLRNet, *DYNAMIC])
def test_compiled_networks_give_the_same_numbers_and_gradients(network, compiler, monkeypatch):
    monkeypatch.setattr(SeriesConvolutions, "compiled_on_cpu", True)
    assert_same_step(*case_of(network))
    assert compiler["unique_graphs"] > 0


def test_series_are_not_compiled_on_the_cpu(compiler):
    module, batch = case_of(LplusSNet)
    expected = step(module, batch)
    module.network.compile()
    assert all(torch.equal(one, other) for one, other in zip(step(module, batch), expected, strict=True))
    assert not compiler


def test_all_iterations_share_what_is_compiled(compiler):
    module, batch = case_of(TLRNet)
    module.network.compile()
    step(module, batch)
    assert compiler["unique_graphs"] <= 2  # encoder and decoder have the same widths; the first input has no gradient
    assert not torch._dynamo.utils.counters["graph_break"]


@pytest.mark.slow
def test_after_some_sizes_the_others_are_not_compiled_with_one_warning(compiler, caplog):
    stack, eager = ImageConvolutions((3, 4, 3)), ImageConvolutions((3, 4, 3))
    eager.load_state_dict(stack.state_dict())
    stack.compiled = True
    with torch._dynamo.config.patch(recompile_limit=2):
        for side in range(8, 14):
            image = torch.randn(2, 3, side, 2 * side)
            assert torch.allclose(stack(image), eager(image), atol=1e-6)
    assert compiler["unique_graphs"] == 2
    assert caplog.text.count("hit config.recompile_limit (2)") == 1


def test_evaluation_is_not_compiled(compiler):
    module, batch = case_of(TLRNet)
    expected = module.eval()(batch)
    module.network.compile()
    assert torch.equal(module(batch), expected)
    assert not compiler


def test_checks_of_what_a_network_is_given_can_be_traced(compiler):
    """They are of shapes and dtypes, which the compiler knows."""
    network, mask = TLRNet(features=2, iterations=1), torch.rand(1, 3, 16, 16) < 0.5
    start = torch.compile(lambda y, mask: network._start(y, Mask(mask))[0].image, backend="eager", fullgraph=True)
    measurement = torch.rand(1, 3, 16, 16)
    assert torch.equal(start(measurement, mask), measurement * mask)
    assert compiler["unique_graphs"] == 1


def test_names_of_weights_stay():
    module, _ = case_of(TLRNet)
    names = list(module.state_dict())
    module.compile_network = True
    for _ in range(2):
        module.configure_model()
    assert list(module.state_dict()) == names
    assert all(part.compiled for part in module.modules() if isinstance(part, convolutions.Convolutions))


def test_mixed_precision_can_be_compiled(compiler):
    module, batch = case_of(TLRNet)
    results = []
    with torch.autocast("cpu", torch.bfloat16):
        results.append(module(batch))
        module.network.compile()
        results.append(module(batch))
    plain, compiled = results
    assert compiled.dtype == torch.float32
    assert (compiled - plain).norm() <= 0.01 * plain.norm()
    assert compiler["unique_graphs"] > 0


@pytest.mark.slow
def test_without_a_cxx_compiler_training_goes_on_with_one_warning(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))  # what was compiled before needs no compiler
    module, batch = case_of(TLRNet)
    expected = step(module, batch)
    module.network.compile()
    absent = torch._inductor.config.patch({"cpp.cxx": (None, "no-such-compiler")})
    with absent, pytest.warns(UserWarning, match="compiler fails, so training goes on without it") as caught:
        results = [step(module, batch) for _ in range(3)]
    assert len(caught) == 1
    for result in results:
        assert all(torch.equal(one, other) for one, other in zip(result, expected, strict=True))


def test_mistakes_of_the_function_are_its_own():
    stack = ImageConvolutions((3, 4, 3))
    stack.compiled = True
    with pytest.raises(RuntimeError, match="3 channels, but got 5 channels"):
        stack(torch.randn(1, 5, 8, 8))


def test_a_module_of_another_network_is_compiled_as_pytorch_does(monkeypatch):
    network = torch.nn.Identity()
    calls = []
    monkeypatch.setattr(network, "compile", lambda: calls.append("compiled"))
    ColorCS(network).configure_model()
    assert not calls
    ColorCS(network, compile=True).configure_model()
    assert calls == ["compiled"]


@pytest.mark.slow
@pytest.mark.parametrize("config", ["color_cs/demo.yaml", "dynamic_mri/lpsnet.yaml"])
@pytest.mark.usefixtures("empty_figures")
def test_the_command_line_compiles(config, command_line, compiler):
    words = ["--config", config, *tiny(config), "--model.compile", "true"]
    command_line("fit", *words)
    assert (compiler["unique_graphs"] > 0) == config.startswith("color_cs/")
    command_line("test", *words)
    command_line("test", "--config", config, *tiny(config))
    assert len(list(Path("runs").rglob("test/metrics.csv"))) == 2
