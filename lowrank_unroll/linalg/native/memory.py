"""Tensors as compiled code reads them."""

import torch
from torch import Tensor
from torch.nn import Parameter

from lowrank_unroll.linalg.batches import traced

PLAIN = {Tensor, Parameter}  # other classes may have no memory, or give what is in it another meaning


def readable(*tensors: Tensor) -> bool:
    """Return whether compiled code may read tensors: plain and dense ones, all in memory, that nothing traces."""
    return not traced(tensors[0]) and all(map(_in_memory, tensors))


def plain(tensor: Tensor) -> Tensor:
    """The same values without gaps, conjugation or sign left to do."""
    return tensor.resolve_conj().resolve_neg().contiguous()


def _in_memory(tensor: Tensor) -> bool:
    return type(tensor) in PLAIN and tensor.layout is torch.strided and (tensor.data_ptr() != 0 or tensor.numel() == 0)
