"""Training steps whose kernels are launched as one."""

import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from lowrank_unroll.sample import Sample

FIELDS = ("measurement", "mask", "coil_sensitivities")
MOST_SHAPES = 4  # each keeps the memory of a step

Reconstruct = Callable[[Sample], tuple[Tensor, Tensor | float]]


def can_capture(trainer: Trainer) -> bool:
    """Whether a trainer's steps can be captured: on one GPU, and each with a gradient of its own.

    How many gradients a step adds up may change in a training, so that is not captured at all.
    """
    alone = trainer.world_size == 1 and trainer.accumulate_grad_batches == 1
    return alone and trainer.strategy.root_device.type == "cuda"


class CUDAGraphs:
    """A reconstruction, captured as a CUDA graph for each shape of a batch, and replayed with its gradient.

    The networks here are thousands of short kernels, which take a GPU less time than the CPU needs to launch them. What
    waits for the GPU cannot be captured, and is called as it is, with a warning that says what waited.

    Args:
        network: whose weights get gradients.
        reconstruct: from a batch to images and what is added to the loss, by the network; of ``FIELDS`` alone.
    """

    def __init__(self, network: nn.Module, reconstruct: Reconstruct) -> None:
        self.network = network
        self.reconstruct = reconstruct
        self.captured: dict[Any, Callable[..., Any] | None] = {}
        self.kept_apart: set[nn.Parameter] = set()

    def __call__(self, batch: Sample) -> tuple[Tensor, Tensor | float]:
        """Reconstruct a batch on a GPU, to be differentiated."""
        given = {name: tensor for name in FIELDS if (tensor := getattr(batch, name)) is not None}
        kind = self._kind(given)
        if _is_watched(self.network) or (kind not in self.captured and len(self.captured) == MOST_SHAPES):
            return self.reconstruct(batch)
        if kind not in self.captured:
            self.captured[kind] = self._capture(batch, given)
        replay = self.captured[kind]
        return self.reconstruct(batch) if replay is None else replay(*given.values())

    def __getstate__(self) -> dict[str, Any]:
        """What a copy has: no graphs, which are of these weights."""
        return vars(self) | {"captured": {}, "kept_apart": set()}

    def _kind(self, given: dict[str, Tensor]) -> tuple[Any, ...]:
        """Everything that a graph has been captured for."""
        shapes = tuple((name, tensor.shape, tensor.dtype) for name, tensor in given.items())
        trained = tuple(parameter.requires_grad for parameter in self.network.parameters())
        return shapes, trained, torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")

    def _capture(self, batch: Sample, given: dict[str, Tensor]) -> Callable[..., Any] | None:
        function = _OfTensors(self, batch._replace(target=None), tuple(given))
        examples = tuple(tensor.clone() for tensor in given.values())
        if (reason := _why_it_waits(function, examples)) is not None:
            warnings.warn(f"training goes on without CUDA graphs: {reason}", stacklevel=2)
            return None
        # Weights meet gradients of a stream that is none of theirs, as is meant. (Not all versions warn of that.)
        if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
            torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
        mixed = torch.is_autocast_enabled("cuda")
        with torch.autocast("cuda", torch.get_autocast_dtype("cuda"), enabled=mixed, cache_enabled=False):
            replay: Callable[..., Any] = torch.cuda.make_graphed_callables(function, examples, allow_unused_input=True)
        for parameter in set(_trained(self.network)) - self.kept_apart:
            # Or its gradient would share the memory that the next replay writes to.
            parameter.register_hook(torch.clone)  # type: ignore[no-untyped-call]
            self.kept_apart.add(parameter)
        return replay


class _OfTensors(nn.Module):
    """A reconstruction as a function of tensors and the network's weights, and of nothing else."""

    def __init__(self, graphs: CUDAGraphs, batch: Sample, fields: tuple[str, ...]) -> None:
        super().__init__()
        self.network = graphs.network
        self.reconstruct = graphs.reconstruct
        self.batch = batch
        self.fields = fields

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        given: dict[str, Any] = dict(zip(self.fields, tensors, strict=True))
        image, penalty = self.reconstruct(self.batch._replace(**given))
        return image, penalty if isinstance(penalty, Tensor) else image.real.new_full((), penalty)


def _is_watched(network: nn.Module) -> bool:
    """Whether somebody looks into the network: a replay calls no hooks."""
    return any(module._forward_hooks for module in network.modules())  # noqa: SLF001  no public name


def _trained(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _differentiate(function: nn.Module, examples: tuple[Tensor, ...]) -> None:
    image, penalty = function(*examples)
    torch.autograd.grad(image.abs().sum() + penalty, _trained(function), allow_unused=True)


def _why_it_waits(function: nn.Module, examples: tuple[Tensor, ...]) -> str | None:
    """What waits for the GPU in a function or its gradient; to find out while capturing would leave a broken state."""
    _differentiate(function, examples)  # once before: kernels are loaded when they are first called, which may wait
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode("error")
    try:
        _differentiate(function, examples)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{error} at line {place.lineno} of {place.filename}: {place.line}"
    finally:
        torch.cuda.set_sync_debug_mode(before)
    return None
