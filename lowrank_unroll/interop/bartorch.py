"""bartorch: its linear operators as ours. Our steps are denoisers of its ``priors.ImplicitPrior`` as they are."""

from typing import Any

import torch
from torch import Tensor

from lowrank_unroll.operators import LinearOperator


class BartorchOperator(LinearOperator):
    """A linear operator of bartorch, applied to each item of a batch. It computes in complex64.

    Args:
        operator: a ``bartorch.linop.LinearOperator`` without a batch dim.
    """

    def __init__(self, operator: Any) -> None:
        self.operator = operator

    def forward(self, image: Tensor) -> Tensor:
        """Return A x of images (batch, ...), each of the operator's ``ishape``."""
        return torch.stack([self.operator(item) for item in image])

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return A^H y of measurements (batch, ...), each of the operator's ``oshape``."""
        return torch.stack([self.operator.H(item) for item in measurement])
