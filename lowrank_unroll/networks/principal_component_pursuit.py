"""Robust principal component analysis by a convex program, a method without training."""

import math
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least, check_positive
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, adjoint_residual
from lowrank_unroll.prox import casorati_singular_value_threshold, soft_threshold
from lowrank_unroll.sample import COMPONENTS_AXES


class PursuitState(NamedTuple):
    """L and S, (batch, 2, time, height, width); the scaled dual variable, as one of them; the threshold, (batch,)."""

    image: Tensor
    dual: Tensor
    threshold: Tensor


class PursuitIteration(nn.Module):
    """One iteration of the alternating directions method (Candes et al., J. ACM 2011, Algorithm 1).

    L' = SVT(L + r(L, S) + u, t);    S' = soft(r(L', 0) + u, weight t);    u' = u + r(L', S')

    Here r(L, S) = A^H (y - A (L + S)) and u is the dual variable times t. Where nothing is measured, r, u and S are
    zero: the program for incomplete observations in Section 1.6 there.

    Args:
        weight: of the l1 norm, relative to the customary 1 / sqrt(max(time, pixels)).
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, state: PursuitState, measurement: Tensor, operator: LinearOperator) -> PursuitState:
        """Advance the state by one iteration."""
        residual = adjoint_residual(state.image, measurement, operator)[:, 0]
        low_rank = casorati_singular_value_threshold(state.image[:, 0] + residual + state.dual, state.threshold)
        without_sparse = torch.stack([low_rank, torch.zeros_like(low_rank)], dim=1)
        remainder = adjoint_residual(without_sparse, measurement, operator)[:, 0] + state.dual
        time, height, width = low_rank.shape[1:]
        weight = self.weight / math.sqrt(max(time, height * width))
        sparse = soft_threshold(remainder, weight * state.threshold[:, None, None, None])
        return PursuitState(torch.stack([low_rank, sparse], dim=1), remainder - sparse, state.threshold)


class PrincipalComponentPursuit(UnrolledNetwork[PursuitState]):
    """Part a series into a background L of low rank and a sparse series S by principal component pursuit.

    min ||Casorati matrix of L||_* + weight / sqrt(max(time, pixels)) ||S||_1   subject to   A (L + S) = y

    It has nothing to train: run ``test`` or ``predict``. :class:`LowRankPlusSparseRecon` is another decomposition: it
    reconstructs one series from k-space, the sum of both parts, and is sparse in temporal frequency.

    Args:
        weight: of the l1 norm, relative to the one that is proved to part incoherent matrices.
        step: length of the steps of the dual variable, relative to time times pixels over 4 ||A^H y||_1, the choice of
            the paper. Longer ones suit moving parts that are much weaker than the background.
        iterations: number of iterations.

    Raises:
        ValueError: if the weight or the step is not positive, or there is no iteration.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COMPONENTS_AXES

    def __init__(self, weight: float = 1.0, step: float = 1.0, iterations: int = 100) -> None:
        check_positive(weight=weight, step=step)
        check_at_least(1, iterations=iterations)
        super().__init__([PursuitIteration(weight)] * iterations)
        self.weight = weight
        self.step = step

    def initial_state(self, image: Tensor) -> PursuitState:
        """Start from zero; the threshold is 4 times the mean magnitude of A^H y over the step."""
        threshold = 4 * image[:, 0].abs().flatten(1).mean(1) / self.step
        return PursuitState(torch.zeros_like(image), torch.zeros_like(image[:, 0]), threshold)
