"""End-to-end variational networks (Sriram et al., MICCAI 2020, arXiv 2004.06688)."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.complex_series import ComplexFrames
from lowrank_unroll.networks.layers.u_net import UNet
from lowrank_unroll.networks.normalized import NormalizedNetwork, NormalizedState
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.sample import SERIES_AXES


class VarNetIteration(nn.Module):
    """One cascade: x = x - step A^H (A x - y) + CNN(x).

    The published one iterates in the k-space of all coils; this one in the image, which is the same where the
    sensitivities explain k-space.

    Args:
        regularizer: the CNN, of complex series.
    """

    def __init__(self, regularizer: nn.Module) -> None:
        super().__init__()
        self.regularizer = regularizer
        self.step_size = nn.Parameter(torch.tensor(1.0))

    def forward(self, state: NormalizedState, measurement: Tensor, operator: LinearOperator) -> NormalizedState:
        """Advance the state by one cascade."""
        image, scale = state
        correction = scale * self.regularizer(image / scale)
        return NormalizedState(gradient_step(image, measurement, operator, self.step_size.relu()) + correction, scale)


class VarNet(NormalizedNetwork):
    """Cascades of a U-Net of each frame and a soft step of data consistency.

    Defaults are for trainings on a CPU. The published network has 18 features, 4 pools and 12 iterations, with 29.5
    million parameters, and 0.5 million in a network for sensitivities, which are given here. Before training it is its
    start, brought nearer to the measurement.

    Args:
        features: channels at the first level of a U-Net, doubled at each further one.
        iterations: number of cascades.
        pools: number of pools in a U-Net.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 8,
        iterations: int = 6,
        pools: int = 3,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations, pools=pools)
        regularizers = (self.regularizer(features, pools) for _ in range(iterations))
        super().__init__(map(VarNetIteration, regularizers), checkpoint_iterations, start)

    @staticmethod
    def regularizer(features: int, pools: int) -> nn.Module:
        """Return the U-Net of a cascade."""
        return ComplexFrames(UNet(2, features, pools))
