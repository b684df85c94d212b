"""L+S-Net: low rank plus sparse (Huang et al., Med. Image Anal. 2021, arXiv 2010.13677)."""

from functools import partial
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.convolutions import ComplexConvolutions
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.prox import LowRankProx, ShrinkageGradient
from lowrank_unroll.sample import SERIES_AXES


class LplusSState(NamedTuple):
    """The series M, and its low-rank and sparse parts before data consistency, all (batch, time, height, width)."""

    image: Tensor
    low_rank: Tensor
    sparse: Tensor


class LplusSIteration(nn.Module):
    """One iteration: L = SVT of the Casorati matrix of M;    S = CNN(L, M);    M = gradient step from L + S."""

    def __init__(self, features: int, gradient: ShrinkageGradient) -> None:
        super().__init__()
        self.prox = LowRankProx(matricization="casorati", gradient=gradient)
        self.sparse = ComplexConvolutions(features, series=2, activation=partial(nn.LeakyReLU, 0.3, inplace=True))
        self.step_size = nn.Parameter(torch.tensor(1.0))

    def forward(self, state: LplusSState, measurement: Tensor, operator: LinearOperator) -> LplusSState:
        """Advance the state by one iteration."""
        low_rank = self.prox(state.image)
        sparse = self.sparse(low_rank, state.image)
        image = gradient_step(low_rank + sparse, measurement, operator, self.step_size.relu())
        return LplusSState(image, low_rank, sparse)


class LplusSNet(UnrolledNetwork[LplusSState]):
    """Unrolled decomposition into a low-rank background and a learned dynamic part.

    Args:
        features: channels inside the convolutional stack.
        iterations: number of unrolled iterations; the last one's step size is 1, not learned.
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
        features: int = 32,
        iterations: int = 10,
        gradient: ShrinkageGradient = "exact",
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations)
        super().__init__((LplusSIteration(features, gradient) for _ in range(iterations)), checkpoint_iterations, start)
        last = self.iterations[-1]
        del last.step_size
        last.register_buffer("step_size", torch.tensor(1.0))

    def initial_state(self, image: Tensor) -> LplusSState:
        """Start from the first image."""
        return LplusSState(image, torch.zeros_like(image), torch.zeros_like(image))
