"""Requirements of compiled code: that it is enabled, and that it can read the tensors."""

import os

import torch
from torch import Tensor
from torch.nn import Parameter

from lowrank_unroll.linalg.autograd import is_tracing
from lowrank_unroll.torch_private import in_forward_mode

SWITCH = "LOWRANK_UNROLL_NATIVE"  # 0 in the environment: PyTorch computes everything
OFF = {"0", "false", "no", "off"}
READABLE = {Tensor, Parameter}  # other classes may have no memory, or interpret it in their own way


def is_enabled() -> bool:
    """Return whether code may be compiled and used."""
    return os.environ.get(SWITCH, "").strip().lower() not in OFF


def is_readable(*tensors: Tensor) -> bool:
    """Return whether compiled code may read tensors: all dense, in memory, and not traced."""
    return not is_tracing(tensors[0]) and all(map(_in_memory, tensors))


def needs_graph(*tensors: Tensor) -> bool:
    """Return whether autograd records operations on tensors, or computes tangents."""
    return (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)) or in_forward_mode()


def contiguous(tensor: Tensor) -> Tensor:
    """Return the same values in contiguous memory, without a pending conjugation or negation."""
    return tensor.resolve_conj().resolve_neg().contiguous()


def _in_memory(tensor: Tensor) -> bool:
    dense = type(tensor) in READABLE and tensor.layout is torch.strided
    return dense and (tensor.data_ptr() != 0 or tensor.numel() == 0)
