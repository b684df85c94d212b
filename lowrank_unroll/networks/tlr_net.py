"""TLR-Net: transformed low rank by ADMM, arXiv 2411.14141."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.networks.convolutions import convolution_stack
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, project_onto_measurement
from lowrank_unroll.prox import LowRankProx, ShrinkageGradient


class TLRState(NamedTuple):
    """Image x and scaled Lagrange multiplier l, both (batch, channel, height, width)."""

    image: Tensor
    multiplier: Tensor


class TLRIteration(nn.Module):
    """One ADMM iteration: low-rank step, data consistency, multiplier step.

        v = x + l;    z = v + prox(v);    x = projection of z - l onto A x = y;    l = l + relu(eta) (x - z)

    Args:
        channels: channels of the image.
        features: channels inside the encoder and decoder.
        gradient: of the shrinkage, see :class:`LowRankProx`.
    """

    def __init__(self, channels: int, features: int, gradient: ShrinkageGradient) -> None:
        super().__init__()
        self.prox = LowRankProx(
            encoder=convolution_stack(channels, features),
            decoder=convolution_stack(channels, features),
            gradient=gradient,
        )
        self.multiplier_step = nn.Parameter(torch.tensor(1.0))

    def forward(self, state: TLRState, measurement: Tensor, operator: LinearOperator) -> TLRState:
        """Advance the state by one iteration."""
        shifted = state.image + state.multiplier
        low_rank = shifted + self.prox(shifted)
        image = project_onto_measurement(low_rank - state.multiplier, measurement, operator)
        multiplier = state.multiplier + self.multiplier_step.relu() * (image - low_rank)
        return TLRState(image, multiplier)


class TLRNet(UnrolledNetwork[TLRState]):
    """Unrolled ADMM with a learned transform whose channel images are shrunk to low rank, arXiv 2411.14141.

    Args:
        channels: channels of the image.
        features: channels inside the encoder and decoder.
        iterations: number of unrolled iterations.
        gradient: gradient of the shrinkage: "exact", or a rule of :func:`lowrank_unroll.linalg.svd`.
    """

    def __init__(
        self,
        channels: int = 3,
        features: int = 16,
        iterations: int = 10,
        gradient: ShrinkageGradient = "exact",
    ) -> None:
        super().__init__(TLRIteration(channels, features, gradient) for _ in range(iterations))
        # The last multiplier is never used: without a gradient it would stall multi-device training.
        self.iterations[-1].multiplier_step.requires_grad_(False)

    def initial_state(self, image: Tensor) -> TLRState:
        """Start from the adjoint reconstruction and a zero multiplier."""
        return TLRState(image, torch.zeros_like(image))
