"""CUDA graphs of training steps, which launch all kernels of a step at once."""

import traceback
import warnings
from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch import Trainer
from torch import Tensor, nn

from lowrank_unroll.sample import Sample
from lowrank_unroll.torch_private import has_forward_hooks

FIELDS = ("measurement", "mask", "coil_sensitivities", "trajectory", "weights")
MOST_SHAPES = 4  # each keeps the memory of a step

Reconstruct = Callable[[Sample], tuple[Tensor, Tensor | float]]  # returns a reconstruction, and penalties of the loss


def can_capture(trainer: Trainer) -> bool:
    """Return whether a trainer's steps can be captured: on one GPU, and without accumulation of gradients.

    The number of gradients that a step accumulates may change in the course of a training.
    """
    alone = trainer.world_size == 1 and trainer.accumulate_grad_batches == 1
    return alone and trainer.strategy.root_device.type == "cuda"


class CUDAGraphs:
    """A reconstruction, captured as a CUDA graph for each shape of a batch, and replayed with its gradient.

    The networks here are thousands of short kernels, which take a GPU less time than the CPU needs to launch them. A
    function that waits for the GPU cannot be captured: it is called as it is, with a warning that names the line.

    Args:
        network: whose weights get gradients.
        reconstruct: returns the reconstruction of a batch by the network, and its penalties; reads ``FIELDS`` alone.
    """

    def __init__(self, network: nn.Module, reconstruct: Reconstruct) -> None:
        self.network = network
        self.reconstruct = reconstruct
        self.captured: dict[Any, Callable[..., Any] | None] = {}
        self.with_own_gradient: set[nn.Parameter] = set()

    def __call__(self, batch: Sample) -> tuple[Tensor, Tensor | float]:
        """Reconstruct a batch on a GPU, to be differentiated."""
        tensors = {name: tensor for name in FIELDS if (tensor := getattr(batch, name)) is not None}
        signature = self._signature(tensors)
        is_new = signature not in self.captured
        if has_forward_hooks(self.network) or (is_new and len(self.captured) == MOST_SHAPES):
            return self.reconstruct(batch)  # a replay calls no hooks
        if is_new:
            self.captured[signature] = self._capture(batch, tensors)
        replay = self.captured[signature]
        return self.reconstruct(batch) if replay is None else replay(*tensors.values())

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, without graphs: they read and write the weights of the original."""
        return vars(self) | {"captured": {}, "with_own_gradient": set()}

    def _signature(self, tensors: dict[str, Tensor]) -> tuple[Any, ...]:
        """Return everything that a graph depends on but the values."""
        shapes = tuple((name, tensor.shape, tensor.dtype) for name, tensor in tensors.items())
        trained = tuple(parameter.requires_grad for parameter in self.network.parameters())
        return shapes, trained, torch.is_autocast_enabled("cuda"), torch.get_autocast_dtype("cuda")

    def _capture(self, batch: Sample, tensors: dict[str, Tensor]) -> Callable[..., Any] | None:
        function = _TensorFunction(self, batch._replace(target=None), tuple(tensors))
        examples = tuple(tensor.clone() for tensor in tensors.values())
        if (reason := _synchronization(function, examples)) is not None:
            warnings.warn(f"training goes on without CUDA graphs: {reason}", stacklevel=2)
            return None
        # Gradients are accumulated on the capture stream by design; silence the warning of newer versions of PyTorch.
        if hasattr(torch.autograd.graph, "set_warn_on_accumulate_grad_stream_mismatch"):
            torch.autograd.graph.set_warn_on_accumulate_grad_stream_mismatch(False)
        mixed = torch.is_autocast_enabled("cuda")
        with torch.autocast("cuda", torch.get_autocast_dtype("cuda"), enabled=mixed, cache_enabled=False):
            replay: Callable[..., Any] = torch.cuda.make_graphed_callables(function, examples, allow_unused_input=True)
        for parameter in set(_trained(self.network)) - self.with_own_gradient:
            # Without a copy, the gradient would share the memory that the next replay writes to.
            parameter.register_hook(torch.clone)  # type: ignore[no-untyped-call]
            self.with_own_gradient.add(parameter)
        return replay


class _TensorFunction(nn.Module):
    """A reconstruction as a function of tensors and the network's weights, and of nothing else."""

    def __init__(self, graphs: CUDAGraphs, batch: Sample, fields: tuple[str, ...]) -> None:
        super().__init__()
        self.network = graphs.network
        self.reconstruct = graphs.reconstruct
        self.batch = batch
        self.fields = fields

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        fields: dict[str, Any] = dict(zip(self.fields, tensors, strict=True))
        image, penalty = self.reconstruct(self.batch._replace(**fields))
        return image, penalty if isinstance(penalty, Tensor) else image.real.new_full((), penalty)


def _trained(network: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in network.parameters() if parameter.requires_grad]


def _differentiate(function: nn.Module, examples: tuple[Tensor, ...]) -> None:
    image, penalty = function(*examples)
    torch.autograd.grad(image.abs().sum() + penalty, _trained(function), allow_unused=True)


def _synchronization(function: nn.Module, examples: tuple[Tensor, ...]) -> str | None:
    """Return what waits for the GPU in a function or its gradient, and where; None if nothing does.

    A capture that fails would leave CUDA in a broken state, so this is found out before.
    """
    _differentiate(function, examples)  # once before, since loading a kernel at its first call may wait
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
