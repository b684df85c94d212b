"""ISTA-Net+: sparse residuals in a learned transform (Zhang & Ghanem, CVPR 2018, arXiv 1706.07929)."""

from collections.abc import Callable, Sequence
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.networks.layers.convolutions import (
    Convolutions,
    ImageConvolutions,
    SeriesConvolutions,
    from_channels,
    to_channels,
)
from lowrank_unroll.networks.normalized import rms_scale
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.prox import soft_threshold
from lowrank_unroll.sample import COLOUR_AXES, SERIES_AXES

SYMMETRY_WEIGHT = 0.01


class ISTANetPlusState(NamedTuple):
    """The image x, its unit, and the symmetry residual.

    The unit is the root mean square of the first image, (batch, 1, ...). The symmetry residual B(F(D r)) - D r in this
    unit, (batch, feature, ...), is real; unless training, it is a zero.
    """

    image: Tensor
    scale: Tensor
    symmetry_residual: Tensor


class SparseCorrection(nn.Module):
    """The part of an image that is sparse in a learned transform: G(B(soft(F(D r), theta))).

    D and G are single convolutions. F and its mirror image B, which is to invert it, are convolution, ReLU and
    convolution.

    Args:
        convolutions: makes a stack of convolutions, of the numbers of channels before, between and after them.
        channels: real channels of the image.
        features: channels of the learned transform.
    """

    def __init__(self, convolutions: Callable[[Sequence[int]], Convolutions], channels: int, features: int) -> None:
        super().__init__()
        self.read = convolutions((channels, features))
        self.encoder = convolutions((features, features, features))
        self.decoder = convolutions((features, features, features))
        self.write = convolutions((features, channels))
        self.soft_threshold = nn.Parameter(torch.tensor(0.01))

    def forward(self, channels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the correction of real channels (batch, channel, ...), and the symmetry residual."""
        read = self.read(channels)
        features = self.encoder(read)
        correction = self.write(self.decoder(soft_threshold(features, self.soft_threshold.relu())))
        # Only the training loss needs it, and it takes a third of the convolutions.
        residual = self.decoder(features) - read if self.training else read.new_zeros(())
        return correction, residual


class ISTANetPlusIteration(nn.Module):
    """One iteration: r = x - relu(mu) A^H (A x - y);    x = r + G(B(soft(F(D r), theta))), in units of the scale.

    Args:
        correction: the second summand.
    """

    def __init__(self, correction: SparseCorrection) -> None:
        super().__init__()
        self.correction = correction
        self.step_size = nn.Parameter(torch.tensor(0.5))

    def forward(self, state: ISTANetPlusState, measurement: Tensor, operator: LinearOperator) -> ISTANetPlusState:
        """Advance the state by one iteration."""
        image, scale, _ = state
        descended = gradient_step(image, measurement, operator, self.step_size.relu())
        correction, residual = self.correct(descended / scale)
        return ISTANetPlusState(descended + scale * correction, scale, residual)

    def correct(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the correction of an image, and the symmetry residual."""
        correction: tuple[Tensor, Tensor] = self.correction(image)
        return correction


class DynamicISTANetPlusIteration(ISTANetPlusIteration):
    """The same for complex series, whose real and imaginary parts are channels."""

    def correct(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return the correction of a series, and the symmetry residual."""
        correction, residual = self.correction(to_channels(image))
        return from_channels(correction), residual


class _UnrolledISTA(UnrolledNetwork[ISTANetPlusState]):
    def penalty(self, state: ISTANetPlusState) -> Tensor:
        """Return 0.01 times the mean squared symmetry residual, which is zero if B inverts F."""
        return SYMMETRY_WEIGHT * state.symmetry_residual.square().mean()

    def initial_state(self, image: Tensor) -> ISTANetPlusState:
        """Start from the first image, in units of its root mean square."""
        scale = rms_scale(image)
        return ISTANetPlusState(image, scale, scale.new_zeros(()))


class ISTANetPlus(_UnrolledISTA):
    """Unrolled ISTA for images (batch, channel, height, width), with a learned sparse transform.

    Unlike the published one, it works in units of the root mean square of its start, and so is positively homogeneous.
    For one channel it has 336,978 parameters, those of the published convolutions, step sizes and thresholds.

    Args:
        channels: channels of the image.
        features: channels of the learned transform.
        iterations: number of unrolled iterations.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`; None for the zero-filled image.

    Raises:
        ValueError: if a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    image_is_complex: ClassVar[bool | None] = False

    def __init__(
        self,
        channels: int = 3,
        features: int = 32,
        iterations: int = 9,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, channels=channels, features=features, iterations=iterations)
        corrections = (SparseCorrection(ImageConvolutions, channels, features) for _ in range(iterations))
        super().__init__(map(ISTANetPlusIteration, corrections), checkpoint_iterations, start)
        self.image_channels = channels


class DynamicISTANetPlus(_UnrolledISTA):
    """:class:`ISTANetPlus` for complex series (batch, time, height, width), with convolutions in space and time.

    By default it has 293,780 parameters.

    Args:
        features: channels of the learned transform.
        iterations: number of unrolled iterations.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`; None for the zero-filled series.

    Raises:
        ValueError: if a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 16,
        iterations: int = 10,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations)
        corrections = (SparseCorrection(SeriesConvolutions, 2, features) for _ in range(iterations))
        super().__init__(map(DynamicISTANetPlusIteration, corrections), checkpoint_iterations, start)
