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
    if type(tensor) not in PLAIN or tensor.layout != torch.strided or tensor.is_nested or tensor._is_zerotensor():  # noqa: SLF001  no public name
        return False
    steps = sum((size - 1) * step for size, step in zip(tensor.shape, tensor.stride(), strict=True))
    last = (tensor.storage_offset() + steps + 1) * tensor.itemsize
    return tensor.numel() == 0 or last <= tensor.untyped_storage().nbytes()
