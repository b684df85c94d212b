"""Iterative reconstruction of series by locally low rank and total variation, a baseline without training."""

import math
import warnings
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least, check_not_negative
from lowrank_unroll.linalg import singular_value_threshold
from lowrank_unroll.networks.layers.fista import extrapolate
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.networks.view_sharing import ViewSharing
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.operators.noise_level import estimate_noise, root_mean_square
from lowrank_unroll.prox import from_blocks, to_blocks, total_variation_step
from lowrank_unroll.sample import SERIES_AXES

# The regularisation begins strong, relative to the series, which removes aliasing in few iterations. Over all of them
# it falls to this fraction of its first strength, by the same factor in each.
FIRST_STRENGTH, FALL = 0.02, 0.015
SEED = 3407


class RegularizedState(NamedTuple):
    """The series x and its extrapolation z, (batch, time, height, width), complex, and how they are regularised.

    The dual variable of total variation, (3, batch, time, height, width); the strength of the regularisation and that
    at which it stops to fall, (batch,), in the unit of the series; the momentum.
    """

    image: Tensor
    extrapolated: Tensor
    dual: Tensor
    strength: Tensor
    last_strength: Tensor
    momentum: float


class RegularizedIteration(nn.Module):
    """One iteration of FISTA with the proximal maps of total variation and of blocks of low rank, one after the other.

    They stand for the proximal map of the sum, which has no closed form.

    Args:
        block: pixels a side.
        offset: rows and columns that the first block lacks, at the top and left.
        low_rank: threshold of singular values, relative to the strength times sqrt(frames) + block.
        tv_weights: of the differences in time, height and width, relative to the strength.
        decay: factor by which the strength falls.
    """

    def __init__(
        self, block: int, offset: tuple[int, int], low_rank: float, tv_weights: tuple[float, float, float], decay: float
    ) -> None:
        super().__init__()
        self.block, self.offset = block, offset
        self.low_rank, self.tv_weights = low_rank, tv_weights
        self.decay = decay

    def forward(self, state: RegularizedState, measurement: Tensor, operator: LinearOperator) -> RegularizedState:
        """Advance the state by one iteration."""
        consistent = gradient_step(state.extrapolated, measurement, operator)
        weights = torch.stack([weight * state.strength for weight in self.tv_weights])
        smooth, dual = total_variation_step(consistent, state.dual, weights)
        image = self.shrink(smooth, state.strength)
        extrapolated, momentum = extrapolate(image, state.image, state.momentum)
        strength = torch.maximum(self.decay * state.strength, state.last_strength)
        return RegularizedState(image, extrapolated, dual, strength, state.last_strength, momentum)

    def shrink(self, series: Tensor, strength: Tensor) -> Tensor:
        """Shrink the singular values of the Casorati matrix of each block of a series, less its mean over time."""
        matrices = to_blocks(series, self.block, self.offset)
        static = matrices.mean(-2, keepdim=True)
        threshold = self.low_rank * (math.sqrt(series.shape[1]) + self.block) * strength
        shrunk = static + singular_value_threshold(matrices - static, threshold[:, None])
        return from_blocks(shrunk, series.shape[-2:], self.block, self.offset)


class LocallyLowRankRecon(UnrolledNetwork[RegularizedState]):
    """Reduce the nuclear norms of the blocks of a series and its total variation, for ||A|| <= 1.

        min_x 1/2 ||A x - y||^2 + s (t sum_b ||B_b (x - mean of x over time)||_* + sum_d w_d ||D_d x||_1)

    with B_b x the Casorati matrix of block b and D_d the differences in time, height and width. A block holds few
    different curves over time (Trzasko & Manduca, ISMRM 2011), and neighbors in time and space differ little. The mean
    over time is left to total variation: where whole lines of k-space are missing, a wrong static image has a smaller
    nuclear norm than the right one. It starts from :class:`ViewSharing`. Each iteration shifts the grid of blocks,
    which leaves no seams (Zhang, Pauly & Levesque, Magn. Reson. Med. 2015); the shifts are drawn once, so that results
    repeat.

    The strength s falls over the iterations (fixed-point continuation: Hale, Yin & Zhang, SIAM J. Optim. 19, 2008) to
    what the noise demands: sigma^2 / rms, as in a Bayesian estimate (Chang, Yu & Vetterli, IEEE TIP 9, 2000), with
    sigma from the k-space (``noise_level.estimate_noise``) and rms the root mean square of the first series. There is
    nothing to train: run ``test`` or ``predict``, or let a network start from it.

    Args:
        block: pixels a side.
        low_rank: threshold t of singular values, relative to sqrt(frames) + block, about the largest singular value of
            noise of unit variance.
        temporal_tv: weight of the differences of frames.
        spatial_tv: weight of the differences of neighbouring pixels.
        iterations: number of iterations.
        threshold: deprecated and without effect; until version 0.1 the threshold did not follow the noise.

    Raises:
        ValueError: if a threshold or weight is negative or not finite, or a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        block: int = 8,
        low_rank: float = 0.9,
        temporal_tv: float = 2.0,
        spatial_tv: float = 0.2,
        iterations: int = 40,
        threshold: float | None = None,
    ) -> None:
        check_at_least(1, block=block, iterations=iterations)
        check_not_negative(low_rank=low_rank, temporal_tv=temporal_tv, spatial_tv=spatial_tv)
        if threshold is not None:
            warnings.warn(
                "LocallyLowRankRecon no longer uses threshold: its thresholds follow the noise of the measurement; "
                "low_rank, temporal_tv and spatial_tv scale them",
                DeprecationWarning,
                stacklevel=2,
            )
        generator = torch.Generator().manual_seed(SEED)
        offsets = torch.randint(block, (iterations, 2), generator=generator, device="cpu").tolist()
        weights = (temporal_tv, spatial_tv, spatial_tv)
        decay = FALL ** (1 / iterations)
        iterates = (RegularizedIteration(block, (top, left), low_rank, weights, decay) for top, left in offsets)
        super().__init__(iterates, start=ViewSharing())

    def initial_state(self, image: Tensor) -> RegularizedState:
        """Start from the shared views, as if there were no noise."""
        strength = FIRST_STRENGTH * root_mean_square(image)
        return RegularizedState(
            image, image, image.new_zeros((3, *image.shape)), strength, torch.zeros_like(strength), 1.0
        )

    def begin(self, image: Tensor, measurement: Tensor, operator: LinearOperator) -> RegularizedState:
        """Start from the shared views, with the regularisation that the noise of the measurement demands."""
        noise, rms = estimate_noise(measurement, operator, image), root_mean_square(image)
        # The ratio has no unit, so that its square neither over- nor underflows.
        last_strength = (noise / rms.where(rms > 0, 1)).square() * rms
        state = self.initial_state(image)
        return state._replace(strength=torch.maximum(state.strength, last_strength), last_strength=last_strength)
