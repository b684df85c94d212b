"""Deep cascades of convolutional networks (Schlemper et al., IEEE TMI 2018, arXiv 1704.02422)."""

from functools import partial
from typing import ClassVar

from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.complex_series import ComplexFrames, ComplexSeries
from lowrank_unroll.networks.layers.convolutions import Convolutions, SeriesConvolutions
from lowrank_unroll.networks.normalized import NormalizedNetwork, NormalizedState
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.sample import SERIES_AXES


class DCCNNIteration(nn.Module):
    """One cascade: v = x + CNN(x);    x = v - A^H (A v - y).

    For a single coil, this replaces the measured samples of v by y. For several, it does so in the k-space of each coil
    and combines the coils, if the squared magnitudes of their sensitivities add up to 1.

    Args:
        denoiser: the CNN, of complex series.
    """

    def __init__(self, denoiser: nn.Module) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, state: NormalizedState, measurement: Tensor, operator: LinearOperator) -> NormalizedState:
        """Advance the state by one cascade."""
        image, scale = state
        denoised = image + scale * self.denoiser(image / scale)
        return NormalizedState(gradient_step(denoised, measurement, operator), scale)


class DCCNN(NormalizedNetwork):
    """Cascades of 3-D convolutions in space and time, and hard data consistency: D5C5 of dynamic MRI.

    By default it has the published 1,694,730 parameters. Unlike the published one, it works in units of the root mean
    square of its start, and has no data-sharing layers.

    Args:
        features: channels between the convolutions.
        iterations: number of cascades.
        depth: convolutions in a cascade.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`.

    Raises:
        ValueError: if a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 64,
        iterations: int = 5,
        depth: int = 5,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations, depth=depth)
        denoisers = (self.denoiser(features, depth) for _ in range(iterations))
        super().__init__(map(DCCNNIteration, denoisers), checkpoint_iterations, start)

    @staticmethod
    def denoiser(features: int, depth: int) -> nn.Module:
        """Return the convolutions of a cascade."""
        return ComplexSeries(SeriesConvolutions(_widths(features, depth), bias=True))


class FrameDCCNN(DCCNN):
    """Cascades of 2-D convolutions of each frame, and hard data consistency: :class:`DCCNN` without time.

    By default it has the published 565,770 parameters. Arguments are those of :class:`DCCNN`.
    """

    @staticmethod
    def denoiser(features: int, depth: int) -> nn.Module:
        """Return the convolutions of a cascade."""
        return ComplexFrames(Convolutions(partial(nn.Conv2d, kernel_size=3, padding=1), _widths(features, depth)))


def _widths(features: int, depth: int) -> tuple[int, ...]:
    """Return the channels before, between and after the convolutions of a cascade."""
    return (2, *[features] * (depth - 1), 2)
