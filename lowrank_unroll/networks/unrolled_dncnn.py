"""Unrolled proximal gradient descent for colour images, with DnCNN (Zhang et al., arXiv 1608.03981) as proximal map."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.convolutions import ImageConvolutions
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.sample import COLOUR_AXES


class DnCNNState(NamedTuple):
    """The image x, (batch, channel, height, width)."""

    image: Tensor


class DnCNNIteration(nn.Module):
    """One proximal gradient step: v = x - relu(mu) A^H (A x - y);    x = v + CNN(v).

    Args:
        channels: channels of the image.
        features: channels between the convolutions.
        depth: convolutions.
    """

    def __init__(self, channels: int, features: int, depth: int) -> None:
        super().__init__()
        self.denoiser = ImageConvolutions((channels, *[features] * (depth - 1), channels)).begin_at_zero()
        self.step_size = nn.Parameter(torch.tensor(1.0))

    def forward(self, state: DnCNNState, measurement: Tensor, operator: LinearOperator) -> DnCNNState:
        """Advance the state by one iteration."""
        image = gradient_step(state.image, measurement, operator, self.step_size.relu())
        return DnCNNState(image + self.denoiser(image))


class UnrolledDnCNN(UnrolledNetwork[DnCNNState]):
    """Gradient steps on the data term, and the residual convolutions of a DnCNN after each.

    Without bias and batch normalization (Mohan et al., arXiv 1906.05478) it is positively homogeneous, and denoises
    at noise levels that it was not trained on. Before training it is its start, with the measured values.

    Args:
        channels: channels of the image.
        features: channels between the convolutions.
        iterations: number of unrolled iterations.
        depth: convolutions in an iteration.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    image_is_complex: ClassVar[bool | None] = False

    def __init__(
        self,
        channels: int = 3,
        features: int = 32,
        iterations: int = 5,
        depth: int = 5,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, channels=channels, features=features, iterations=iterations, depth=depth)
        super().__init__(
            (DnCNNIteration(channels, features, depth) for _ in range(iterations)), checkpoint_iterations, start
        )
        self.image_channels = channels

    def initial_state(self, image: Tensor) -> DnCNNState:
        """Start from the first image."""
        return DnCNNState(image)
