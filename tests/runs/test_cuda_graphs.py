"""Captured steps and those that are not; plain calls stand for graphs, so that no GPU is needed."""

import pickle
import warnings
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch

from lowrank_unroll.modules import SSDU, ColorCS
from lowrank_unroll.networks import NonLocalLowRankNet
from lowrank_unroll.runs import cuda_graphs
from lowrank_unroll.runs.cuda_graphs import MOST_SHAPES, CUDAGraphs, can_capture
from lowrank_unroll.sample import Sample


def batch(size=8, count=1):
    image = torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(0))
    mask = image < 0.5
    return Sample(image * mask, image, mask, None, torch.ones(count), "", "")


def trainer(device="cuda", world_size=1, accumulate_grad_batches=1):
    strategy = SimpleNamespace(root_device=torch.device(device))
    return SimpleNamespace(strategy=strategy, world_size=world_size, accumulate_grad_batches=accumulate_grad_batches)


@pytest.fixture
def captured(monkeypatch):
    """Return the shapes that were captured; each replay calls the function, with gradients in memory of its own."""
    shapes = []

    def capture(function, examples, *, allow_unused_input):
        shapes.append(tuple(examples[0].shape))
        memory = {}

        class Replay(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *tensors):
                with torch.enable_grad():
                    image, _ = function(*tensors[: len(examples)])
                ctx.image = image
                return image.detach()

            @staticmethod
            def backward(ctx, gradient):
                trained = [parameter for parameter in function.parameters() if parameter.requires_grad]
                found = torch.autograd.grad(ctx.image, trained, gradient)
                kept = [
                    memory.setdefault(id(p), torch.empty_like(p)).copy_(g) for p, g in zip(trained, found, strict=True)
                ]
                return *[None] * len(examples), *(one.detach() for one in kept)

        return lambda *tensors: (Replay.apply(*tensors, *filter(lambda p: p.requires_grad, function.parameters())), 0.0)

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", capture)
    monkeypatch.setattr(cuda_graphs, "_synchronization", lambda function, examples: None)
    return shapes


@pytest.fixture
def module():
    torch.manual_seed(0)
    return ColorCS(NonLocalLowRankNet(features=4, iterations=2)).train()


def graphs_of(module):
    return CUDAGraphs(module.network, module.reconstruct)


def loss(reconstruct, one):
    image, penalty = reconstruct(one)
    return (image - one.target).square().sum() + penalty


def test_one_gpu_captures_and_nothing_else():
    assert can_capture(trainer())
    assert not can_capture(trainer("cpu"))
    assert not can_capture(trainer(world_size=2))
    assert not can_capture(trainer(accumulate_grad_batches=2))


@pytest.mark.parametrize(
    ("compile_it", "device", "expected"), [(True, "cuda", True), (True, "cpu", False), (False, "cuda", False)]
)
def test_a_module_chooses_anew_in_each_training(compile_it, device, expected):
    module = ColorCS(NonLocalLowRankNet(features=4, iterations=1), compile=compile_it)
    module._trainer = trainer(device)
    module.configure_model()
    assert isinstance(module.reconstruct_to_train, CUDAGraphs) == expected
    module._trainer = trainer("cpu")
    module.configure_model()
    assert module.reconstruct_to_train == module.reconstruct


def test_self_supervision_captures_nothing():
    module = ColorCS(NonLocalLowRankNet(features=4, iterations=1), compile=True, self_supervision=SSDU())
    module._trainer = trainer()
    module.configure_model()
    assert not isinstance(module.reconstruct_to_train, CUDAGraphs)


def test_each_shape_is_captured_once_and_few_are(module, captured):
    graphs = graphs_of(module)
    for _ in range(2):
        for size in range(8, 8 + MOST_SHAPES + 2):
            assert loss(graphs, batch(size)) == loss(module.reconstruct, batch(size))
    assert captured == [(1, 3, size, size) for size in range(8, 8 + MOST_SHAPES)]


def test_gradients_of_several_steps_add_up(module, captured):
    """Though each replay writes its own to the same memory."""
    graphs, other = graphs_of(module), deepcopy(module)
    for reconstruct in (graphs, other.reconstruct):
        for count in (1, 2, 1):
            loss(reconstruct, batch(count=count)).backward()
    for one, same in zip(module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one.grad, same.grad)


def test_who_looks_into_the_network_sees_it(module, captured):
    graphs, seen = graphs_of(module), []
    hook = module.network.iterations[0].register_forward_hook(lambda *_: seen.append(True))
    loss(graphs, batch())
    assert (captured, len(seen)) == ([], 1)
    hook.remove()
    loss(graphs, batch())
    assert (len(captured), len(seen)) == (1, 1)


def test_weights_that_begin_to_train_are_captured_anew(module, captured):
    graphs, weights = graphs_of(module), list(module.network.parameters())
    weights[0].requires_grad_(False)
    loss(graphs, batch()).backward()
    assert weights[0].grad is None
    weights[0].requires_grad_(True)
    loss(graphs, batch()).backward()
    assert weights[0].grad is not None
    assert len(captured) == 2


@pytest.mark.parametrize("copied", [deepcopy, lambda graphs: pickle.loads(pickle.dumps(graphs))])
def test_a_copy_captures_its_own_weights(module, captured, copied):
    graphs = graphs_of(module)
    loss(graphs, batch())
    other = copied(graphs)
    assert other.captured == {}
    with torch.no_grad():
        for weight in other.network.parameters():
            weight.zero_()
    assert loss(other, batch()) != loss(graphs, batch())


def test_what_waits_is_said_and_called_as_it_is(module, captured, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "_synchronization", lambda function, examples: "a copy at line 3")
    graphs = graphs_of(module)
    with pytest.warns(UserWarning, match="without CUDA graphs: a copy at line 3"):
        first = loss(graphs, batch())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(graphs, batch()) == first == loss(module.reconstruct, batch())
    assert captured == []
