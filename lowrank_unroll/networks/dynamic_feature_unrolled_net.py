"""An unrolled network of complex series that carries its features from one iteration to the next."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.networks.feature_unrolled_net import TRUST, TRUST_GAIN
from lowrank_unroll.networks.layers.space_time_convolutions import (
    FewOutputsSpatialConvolution,
    SpaceTimeConvolutions,
    SpatialConvolution,
)
from lowrank_unroll.networks.normalized import rms_scale
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, adjoint_residual, gradient_step
from lowrank_unroll.operators.noise_level import estimate_noise
from lowrank_unroll.sample import SERIES_AXES

# The noise has some 1 to 10 % of the RMS of a series, and should be as large as the other channels.
NOISE_GAIN = 10.0


class DynamicFeatureState(NamedTuple):
    """The series x, (batch, time, height, width), complex, and what the iterations know of it.

    The features h, (batch, time, height, width, feature), have no unit. The scale, (batch, 1, 1, 1), is the root mean
    square of the first series; the noise, (batch, 1, 1, 1), is its standard deviation as a fraction of the scale.
    """

    image: Tensor
    features: Tensor
    scale: Tensor
    noise: Tensor


class DynamicFeatureIteration(nn.Module):
    """Correct the series by its features, and bring it nearer to the measurement where that is trusted.

        h = h + K_in (x, A^H (y - A x), noise);    h = h + CNN(h), several times;
        (d, g) = K_out h;    x = x + d;    x = x + sigmoid(3 - 10 g) A^H (y - A x)

    in units of the scale. The convolutions of the CNN are in space, then in time.

    Args:
        features: channels of the features.
        blocks: residual blocks.
    """

    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        self.read = SpatialConvolution(5, features)
        self.blocks = nn.Sequential(*(SpaceTimeConvolutions(features) for _ in range(blocks)))
        self.write = FewOutputsSpatialConvolution(features, 3)
        nn.init.zeros_(self.write.weight)

    def forward(self, state: DynamicFeatureState, measurement: Tensor, operator: LinearOperator) -> DynamicFeatureState:
        """Advance the state by one iteration."""
        image, features, scale, noise = state
        series = torch.stack([image, adjoint_residual(image, measurement, operator)], dim=-1) / scale[..., None]
        level = (NOISE_GAIN * noise)[..., None].expand(*image.shape, 1)
        read = self.read(torch.cat([torch.view_as_real(series).flatten(-2), level], dim=-1))
        # They start in single precision. In place where there is no gradient: autograd would copy the views of `read`.
        total = read + features.to(read.dtype) if torch.is_grad_enabled() else read.add_(features)
        features = self.blocks(total)
        written = at_least_single(self.write(features))
        correction, distrust = torch.view_as_complex(written[..., :2].contiguous()), written[..., 2]
        trust = torch.sigmoid(TRUST - TRUST_GAIN * distrust)
        corrected = gradient_step(image + scale * correction, measurement, operator, trust)
        return DynamicFeatureState(corrected, features, scale, noise)


class DynamicFeatureUnrolledNet(UnrolledNetwork[DynamicFeatureState]):
    """:class:`FeatureUnrolledNet` for complex series: iterations that hand features on to each other.

    It estimates the noise from the k-space (``noise_level.estimate_noise``), and is positively homogeneous, since it
    works in units of the root mean square of its start. Before training it is its start, brought nearer to the
    measurement.

    Args:
        features: channels of the features.
        iterations: number of unrolled iterations.
        blocks: residual blocks, of a convolution in space and one in time, in an iteration.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, such as ``LocallyLowRankRecon``; None for the zero-filled series.

    Raises:
        ValueError: if a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 32,
        iterations: int = 4,
        blocks: int = 3,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations, blocks=blocks)
        super().__init__(
            (DynamicFeatureIteration(features, blocks) for _ in range(iterations)), checkpoint_iterations, start
        )
        self.features = features

    def initial_state(self, image: Tensor) -> DynamicFeatureState:
        """Start from the first series, without features and as if there were no noise."""
        scale = rms_scale(image)
        features = scale.new_zeros((*image.shape, self.features))
        return DynamicFeatureState(image, features, scale, torch.zeros_like(scale))

    def begin(self, image: Tensor, measurement: Tensor, operator: LinearOperator) -> DynamicFeatureState:
        """Start from the first series and the noise of the measurement."""
        state = self.initial_state(image)
        noise = estimate_noise(measurement, operator, image)[:, None, None, None]
        return state._replace(noise=noise / state.scale)
