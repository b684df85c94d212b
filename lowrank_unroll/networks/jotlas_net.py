"""JotlasNet: tensor low rank and attention-based sparsity, side by side (Zhang et al. 2025, arXiv 2502.11749)."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import full_precision
from lowrank_unroll.networks.layers.convolutions import SeriesConvolutions, from_channels, to_channels
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.prox import LowRankProx, ShrinkageGradient, soft_threshold
from lowrank_unroll.sample import SERIES_AXES

REDUCTION = 4  # of the channels inside the attention


class JotlasState(NamedTuple):
    """The series x and its extrapolation z, both (batch, time, height, width), complex."""

    image: Tensor
    extrapolated: Tensor


class AttentionThreshold(nn.Module):
    """Soft-threshold each channel at a fraction of its mean magnitude, which an attention over all channels decides.

        m = mean |h| of each channel;    theta = sigmoid(W2 ReLU(W1 m / mean m + b1) + b2) m

    As in squeeze and excitation, W1 has a quarter as many outputs as channels. In units of the mean of all channels the
    attention sees no scale, so that the step is positively homogeneous.

    Args:
        channels: channels to threshold.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inside = max(1, channels // REDUCTION)
        self.attention = nn.Sequential(nn.Linear(channels, inside), nn.ReLU(), nn.Linear(inside, channels))

    @full_precision
    def forward(self, channels: Tensor) -> Tensor:
        """Shrink real channels (batch, channel, time, height, width)."""
        return soft_threshold(channels, self.thresholds(channels))

    def thresholds(self, channels: Tensor) -> Tensor:
        """Return the thresholds, (batch, channel, 1, 1, 1), in the unit of the channels."""
        magnitudes = channels.abs().mean((2, 3, 4))
        unit = magnitudes.mean(1, keepdim=True)
        fractions: Tensor = self.attention(magnitudes / unit.where(unit > 0, 1)).sigmoid()
        return (fractions * magnitudes)[..., None, None, None]


class JotlasIteration(nn.Module):
    """One iteration of composite splitting: a gradient step, two proximal steps side by side, and their average.

        r = z - relu(mu) A^H (A z - y);    x' = r + 1/2 D_L(SVT(E_L(r))) + 1/2 D_S(soft(E_S(r)))
        z' = x' + momentum (x' - x)

    Args:
        features: channels of the sparse transform; the low-rank transform has half of them.
        gradient: gradient of the shrinkage.
        momentum: initial value.
    """

    def __init__(self, features: int, gradient: ShrinkageGradient, momentum: float) -> None:
        super().__init__()
        self.prox = LowRankProx(*_transform(max(1, features // 2)), gradient=gradient)
        encoder, decoder = _transform(features)
        self.sparse = nn.Sequential(encoder, AttentionThreshold(features), decoder)
        self.step_size = nn.Parameter(torch.tensor(1.0))
        self.momentum = nn.Parameter(torch.tensor(momentum))

    def forward(self, state: JotlasState, measurement: Tensor, operator: LinearOperator) -> JotlasState:
        """Advance the state by one iteration."""
        descended = gradient_step(state.extrapolated, measurement, operator, self.step_size.relu())
        channels = to_channels(descended)
        image = descended + from_channels(self.prox(channels) + self.sparse(channels)) / 2
        return JotlasState(image, image + self.momentum * (image - state.image))


def _transform(features: int) -> tuple[SeriesConvolutions, SeriesConvolutions]:
    """Return the encoder and decoder of a learned transform of complex series."""
    encoder = SeriesConvolutions((2, features, features, features))
    return encoder, SeriesConvolutions((features, features, features, 2))


class JotlasNet(UnrolledNetwork[JotlasState]):
    """Unrolled composite splitting of a low-rank tensor and a sparse part, each in a learned transform.

    It follows the abstract of the paper, not its code: five iterations of composite splitting with momentum, a t-SVD
    shrinkage under convolutions, and soft thresholds that an attention decides. The layers are chosen here to come near
    the published 721,000 parameters: residual connections, three convolutions of 3 x 3 x 3 without bias in each encoder
    and decoder, 16 channels of low rank, whose frames are shrunk one by one, 32 sparse ones, and an attention of two
    layers with 8 channels between. By default these are 719,895 parameters. Thresholds are relative, which makes the
    network positively homogeneous.

    Args:
        features: channels of the sparse transform; the low-rank transform has half of them.
        iterations: number of unrolled iterations.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`; None for the zero-filled series, as published.

    Raises:
        ValueError: if a number is below 1, or ``gradient`` is unknown.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 32,
        iterations: int = 5,
        gradient: ShrinkageGradient = "exact",
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations)
        momenta = (number / (number + 3) for number in range(iterations))  # those of Nesterov
        super().__init__(
            (JotlasIteration(features, gradient, momentum) for momentum in momenta), checkpoint_iterations, start
        )
        # The last extrapolation is never used, and a parameter without gradient would stall multi-device training.
        self.iterations[-1].momentum.requires_grad_(False)

    def initial_state(self, image: Tensor) -> JotlasState:
        """Start from the first image, without momentum."""
        return JotlasState(image, image)
