"""Private names of PyTorch that have no public equivalent, in one place: look here when a new version removes one."""

# ruff: noqa: SLF001

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

__all__ = [
    "FakeTensor",
    "are_transforms_active",
    "compiler_error",
    "has_dispatch_mode",
    "has_forward_hooks",
    "in_forward_mode",
    "is_jit_tracing",
]

are_transforms_active = torch._C._are_functorch_transforms_active  # of torch.func, such as vmap
is_jit_tracing = torch._C._is_tracing  # faster than torch.jit.is_tracing, and asked at every call


def has_dispatch_mode() -> bool:
    """Return whether a mode, such as that of fake tensors, intercepts all operations."""
    return _get_current_dispatch_mode() is not None


def in_forward_mode() -> bool:
    """Return whether autograd is computing tangents."""
    return forward_ad._current_level >= 0


def has_forward_hooks(network: nn.Module) -> bool:
    """Return whether hooks look into the forward pass of a network or of its parts."""
    return any(module._forward_hooks for module in network.modules())


def compiler_error() -> type[Exception]:
    """Return the base class of all that ``torch.compile`` raises; importing it takes a second."""
    return torch._dynamo.exc.TorchDynamoException
