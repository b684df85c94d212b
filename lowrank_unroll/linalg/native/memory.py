"""Tensors as compiled code reads them."""

from torch import Tensor


def plain(tensor: Tensor) -> Tensor:
    """The same values without gaps, conjugation or sign left to do."""
    return tensor.resolve_conj().resolve_neg().contiguous()
