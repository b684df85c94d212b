"""Iterative low rank plus sparse reconstruction, a baseline without training."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least, check_not_negative
from lowrank_unroll.linalg import spectral_norm
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.prox import casorati, casorati_singular_value_threshold, soft_threshold
from lowrank_unroll.sample import SERIES_AXES

TIME = -3


class LowRankPlusSparseState(NamedTuple):
    """The series L + S, its parts L and S, the data-consistent M, (batch, time, height, width); thresholds (batch,)."""

    image: Tensor
    low_rank: Tensor
    sparse: Tensor
    consistent: Tensor
    low_rank_threshold: Tensor
    sparse_threshold: Tensor


class LowRankPlusSparseIteration(nn.Module):
    """One iteration of Otazo, Candes & Sodickson (Magn. Reson. Med. 2015), T the Fourier transform in time.

    L' = SVT(M - S);    S' = T^H soft(T (M - L));    M' = L' + S' - A^H (A (L' + S') - y)

    The initial state fixes the thresholds.
    """

    def forward(
        self, state: LowRankPlusSparseState, measurement: Tensor, operator: LinearOperator
    ) -> LowRankPlusSparseState:
        """Advance the state by one iteration."""
        remainder = state.consistent - state.sparse
        low_rank = casorati_singular_value_threshold(remainder, state.low_rank_threshold)
        spectrum = torch.fft.fft(state.consistent - state.low_rank, dim=TIME, norm="ortho")
        kept = soft_threshold(spectrum, state.sparse_threshold[:, None, None, None])
        sparse = torch.fft.ifft(kept, dim=TIME, norm="ortho")
        image = low_rank + sparse
        consistent = gradient_step(image, measurement, operator)
        return state._replace(image=image, low_rank=low_rank, sparse=sparse, consistent=consistent)


class LowRankPlusSparseRecon(UnrolledNetwork[LowRankPlusSparseState]):
    """Decompose a series into a low-rank background and a part that is sparse in temporal frequency, for ||A|| <= 1.

    It has nothing to train: run ``test`` or ``predict``. It returns the sum of both;
    :class:`PrincipalComponentPursuit` returns the parts of a series of images.

    Args:
        low_rank_threshold: relative to the largest singular value of the Casorati matrix of the zero-filled series.
        sparse_threshold: relative to the largest magnitude of its temporal spectrum.
        iterations: number of iterations.

    Raises:
        ValueError: if a threshold is negative or not finite, or there is no iteration.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self, low_rank_threshold: float = 0.005, sparse_threshold: float = 0.003, iterations: int = 50
    ) -> None:
        check_not_negative(low_rank_threshold=low_rank_threshold, sparse_threshold=sparse_threshold)
        check_at_least(1, iterations=iterations)
        super().__init__([LowRankPlusSparseIteration()] * iterations)
        self.low_rank_threshold = low_rank_threshold
        self.sparse_threshold = sparse_threshold

    def initial_state(self, image: Tensor) -> LowRankPlusSparseState:
        """Start from the adjoint reconstruction as the low-rank part, and a sparse part of zero."""
        spectrum = torch.fft.fft(image, dim=TIME, norm="ortho").abs().flatten(1).amax(1)
        return LowRankPlusSparseState(
            image,
            image,
            torch.zeros_like(image),
            image,
            self.low_rank_threshold * spectral_norm(casorati(image)),
            self.sparse_threshold * spectrum,
        )
