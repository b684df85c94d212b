"""An unrolled network of colour images that carries its features from one iteration to the next."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.networks.layers.convolutions import ResidualConvolutions
from lowrank_unroll.networks.layers.fast_convolutions import FewOutputsConv2d
from lowrank_unroll.networks.normalized_convolution import NormalizedConvolution
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, adjoint_residual, gradient_step
from lowrank_unroll.sample import COLOUR_AXES

# Before training, sigmoid(3), about 95 %, of what a measured value differs by is corrected, as if there were no noise.
TRUST = 3.0
# Images are in [0, 1], and the trust of the measurement has to change by as much as 10 to open or close.
TRUST_GAIN = 10.0


class FeatureState(NamedTuple):
    """The image x, (batch, channel, height, width), and the features h, (batch, feature, height, width)."""

    image: Tensor
    features: Tensor


class FeatureIteration(nn.Module):
    """Correct the image by what the features tell, and bring it nearer to the measurement where that is trusted.

        h = h + K_in (x, A^H (y - A x), diagonal of A^H A);    h = h + CNN(h), several times;
        (d, g) = K_out h;    x = x + d;    x = x + sigmoid(3 - 10 g) A^H (y - A x)

    The image has few channels; the features carry from iteration to iteration what it cannot hold.

    Args:
        channels: channels of the image.
        features: channels of the features.
        blocks: residual blocks.
    """

    def __init__(self, channels: int, features: int, blocks: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(3 * channels, features, kernel_size=3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(ResidualConvolutions(features) for _ in range(blocks)))
        self.write = FewOutputsConv2d(features, 2 * channels)
        nn.init.zeros_(self.write.weight)

    def forward(self, state: FeatureState, measurement: Tensor, operator: LinearOperator) -> FeatureState:
        """Advance the state by one iteration."""
        image, features = state
        known = operator.gram(torch.ones_like(image))
        shown = torch.cat([image, adjoint_residual(image, measurement, operator), known], dim=1)
        # Channels last in memory convolve faster.
        read = self.read(shown.contiguous(memory_format=torch.channels_last))
        features = self.blocks(read + features.to(read.dtype))  # which starts in single precision
        correction, distrust = at_least_single(self.write(features)).chunk(2, dim=1)
        image = image + correction
        trust = torch.sigmoid(TRUST - TRUST_GAIN * distrust)
        return FeatureState(gradient_step(image, measurement, operator, trust), features)


class FeatureUnrolledNet(UnrolledNetwork[FeatureState]):
    """Iterations that hand features on to each other, not the image alone.

    So do memory-augmented unrolled networks (Song, Chen & Zhang, ACM Multimedia 2021). It takes images in [0, 1], and
    knows from the features how much noise measured values have. Before training it is its start, whose measured values
    it keeps.

    Args:
        channels: channels of the image.
        features: channels of the features.
        iterations: number of unrolled iterations.
        blocks: residual blocks, of two convolutions each, in an iteration.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from; None for a normalised convolution.

    Raises:
        ValueError: if a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    image_is_complex: ClassVar[bool | None] = False

    def __init__(
        self,
        channels: int = 3,
        features: int = 32,
        iterations: int = 3,
        blocks: int = 3,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, channels=channels, features=features, iterations=iterations, blocks=blocks)
        super().__init__(
            (FeatureIteration(channels, features, blocks) for _ in range(iterations)),
            checkpoint_iterations,
            start or NormalizedConvolution(),
        )
        self.image_channels = channels
        self.features = features
        start_reach: int | None = getattr(self.start, "reach", None)
        if start_reach is not None:
            self.reach = start_reach + iterations * (2 * blocks + 2)  # a pixel for each convolution

    def initial_state(self, image: Tensor) -> FeatureState:
        """Start from the first image, without features."""
        return FeatureState(image, image.new_zeros(len(image), self.features, *image.shape[-2:]))
