"""LRPCA: learned robust PCA (Cai, Liu & Yin, NeurIPS 2021, arXiv 2110.05649)."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least, check_positive
from lowrank_unroll.linalg import Truncation, full_precision, spectral_function
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, adjoint_residual
from lowrank_unroll.prox import casorati, soft_threshold
from lowrank_unroll.sample import COMPONENTS_AXES

SMALLEST = 1e-6  # eigenvalue of a Gram matrix that counts, relative to the mean of them


class LRPCAState(NamedTuple):
    """L and S, (batch, 2, time, height, width); factors of L, (batch, time, rank) and (batch, pixels, rank); a unit.

    The unit of the thresholds is the mean magnitude of A^H y, (batch,).
    """

    image: Tensor
    left: Tensor
    right: Tensor
    unit: Tensor


class LRPCAIteration(nn.Module):
    """One iteration: S' = soft(r(L, 0), zeta), and a scaled gradient step eta of both factors of L = U V^H.

    U' = U + eta r(L, S') V (V^H V)^-1;    V' = V + eta r(L, S')^H U (U^H U)^-1, with r(L, S) = A^H (y - A (L + S))

    Args:
        threshold: initial zeta.
    """

    def __init__(self, threshold: float) -> None:
        super().__init__()
        self.log_threshold = nn.Parameter(torch.tensor(threshold).log())
        self.step_size = nn.Parameter(torch.tensor(0.5))

    def forward(self, state: LRPCAState, measurement: Tensor, operator: LinearOperator) -> LRPCAState:
        """Advance the state by one iteration."""
        _, left, right, unit = state
        low_rank = state.image[:, 0]
        sparse = _sparse(low_rank, measurement, operator, self.log_threshold.exp() * unit)
        residual = casorati(adjoint_residual(torch.stack([low_rank, sparse], dim=1), measurement, operator)[:, 0])
        left, right = (
            left + self.step_size * _divided(residual @ right, right),
            right + self.step_size * _divided(residual.mH @ left, left),
        )
        image = torch.stack([(left @ right.mH).reshape(low_rank.shape), sparse], dim=1)
        return LRPCAState(image, left, right, unit)


class LRPCA(UnrolledNetwork[LRPCAState]):
    """Part a series into a background of a given rank and a sparse part by unrolled scaled gradient descent.

    It learns a threshold and a step size for each iteration, and no more. No iteration decomposes a matrix; the first
    background is the truncated decomposition of what lies below a threshold, whose gradient is exact.

    Thresholds are relative to the mean magnitude of A^H y, so that the network is positively homogeneous.

    Args:
        rank: of the background.
        iterations: number of unrolled iterations.
        first_threshold: before training, of the first background.
        last_threshold: before training, of the last iteration; those between decrease by a constant factor.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is below 1, or a threshold not positive.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COMPONENTS_AXES

    def __init__(
        self,
        rank: int = 2,
        iterations: int = 10,
        first_threshold: float = 4.0,
        last_threshold: float = 0.003,
        checkpoint_iterations: bool = False,
    ) -> None:
        check_at_least(1, rank=rank, iterations=iterations)
        check_positive(first_threshold=first_threshold, last_threshold=last_threshold)
        ratio = (last_threshold / first_threshold) ** (1 / iterations)
        thresholds = [first_threshold * ratio**index for index in range(1, iterations + 1)]
        super().__init__(map(LRPCAIteration, thresholds), checkpoint_iterations)
        self.rank = rank
        self.log_threshold = nn.Parameter(torch.tensor(first_threshold).log())

    def begin(self, image: Tensor, measurement: Tensor, operator: LinearOperator) -> LRPCAState:
        """Start from the truncated singular value decomposition of what lies below the first threshold."""
        series = image[:, 0]
        unit = series.abs().flatten(1).mean(1)
        sparse = _sparse(torch.zeros_like(series), measurement, operator, self.log_threshold.exp() * unit)
        return self._state(series - sparse, sparse, unit)

    def initial_state(self, image: Tensor) -> LRPCAState:
        """Start from the truncated decomposition of a series of which nothing is sparse."""
        series = image[:, 0]
        return self._state(series, torch.zeros_like(series), series.abs().flatten(1).mean(1))

    def _state(self, background: Tensor, sparse: Tensor, unit: Tensor) -> LRPCAState:
        left, right = _factors(casorati(background), self.rank)
        low_rank = (left @ right.mH).reshape(background.shape)
        return LRPCAState(torch.stack([low_rank, sparse], dim=1), left, right, unit)


def _sparse(low_rank: Tensor, measurement: Tensor, operator: LinearOperator, threshold: Tensor) -> Tensor:
    """Return what of the measurement the background does not explain, and is above the thresholds, (batch,)."""
    without_sparse = torch.stack([low_rank, torch.zeros_like(low_rank)], dim=1)
    remainder = adjoint_residual(without_sparse, measurement, operator)[:, 0]
    return soft_threshold(remainder, threshold[:, None, None, None])


@full_precision
def _factors(matrix: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Return factors U and V of the best approximation U V^H of a rank, by operations whose gradient is finite.

    The singular vectors have no gradient where singular values coincide, but the iterations depend on the product
    alone: any basis of its row space serves, and is a constant here.
    """
    rank = min(rank, *matrix.shape[-2:])
    approximation = spectral_function(matrix, Truncation(rank))
    basis = torch.linalg.svd(approximation.detach(), full_matrices=False).Vh[..., :rank, :].mH
    left = approximation @ basis
    return left, _divided(approximation.mH @ left, left)


def _divided(product: Tensor, factor: Tensor) -> Tensor:
    """Return B (F^H F)^-1, zero in directions that the factor F lacks, as that of a static background of rank 2."""
    gram = factor.mH @ factor
    mean = torch.diagonal(gram, dim1=-2, dim2=-1).real.mean(-1)[..., None, None]
    floor = (SMALLEST * mean).clamp(min=torch.finfo(mean.dtype).tiny) * torch.eye(gram.shape[-1], device=gram.device)
    quotient: Tensor = torch.linalg.solve(gram + floor, product, left=False)
    return quotient
