"""T2LR-Net: transformed low rank by proximal gradient descent (Zhang et al., arXiv 2209.03832)."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.convolutions import ComplexConvolutions
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.prox import LowRankProx, ShrinkageGradient
from lowrank_unroll.sample import SERIES_AXES


class T2LRState(NamedTuple):
    """The series x, (batch, time, height, width), complex."""

    image: Tensor


class T2LRIteration(nn.Module):
    """One proximal gradient step: x = x - relu(mu) A^H (A x - y);    x = x + prox(x)."""

    def __init__(self, features: int, gradient: ShrinkageGradient) -> None:
        super().__init__()
        self.prox = LowRankProx(ComplexConvolutions(features), ComplexConvolutions(features), gradient=gradient)
        self.step_size = nn.Parameter(torch.tensor(0.1))

    def forward(self, state: T2LRState, measurement: Tensor, operator: LinearOperator) -> T2LRState:
        """Advance the state by one iteration."""
        image = gradient_step(state.image, measurement, operator, self.step_size.relu())
        return T2LRState(image + self.prox(image))


class T2LRNet(UnrolledNetwork[T2LRState]):
    """Unrolled proximal gradient descent with a learned transform whose frames are shrunk to low rank.

    Args:
        features: channels inside the encoder and decoder.
        iterations: number of unrolled iterations.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is below 1, or ``gradient`` is unknown.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 16,
        iterations: int = 15,
        gradient: ShrinkageGradient = "exact",
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations)
        super().__init__((T2LRIteration(features, gradient) for _ in range(iterations)), checkpoint_iterations, start)

    def initial_state(self, image: Tensor) -> T2LRState:
        """Start from the first image."""
        return T2LRState(image)
