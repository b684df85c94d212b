"""An unrolled network of complex series that carries its features from one iteration to the next."""

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.networks.layers.narrowing_convolution import NarrowingConvolution
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, adjoint_residual
from lowrank_unroll.operators.noise_level import estimate_noise
from lowrank_unroll.sample import SERIES_AXES

# As in FeatureUnrolledNet: sigmoid(3), about 95 %, of the residual is corrected before training.
TRUST = 3.0
TRUST_GAIN = 10.0
# The noise is some 1 to 10 % of the series; features are about as large as the series.
NOISE_GAIN = 10.0


class SeriesFeatureState(NamedTuple):
    """The series x, (batch, time, height, width), complex, and what the iterations know about it.

    The features h, (batch, time, height, width, feature), in units of the scale; the scale, (batch, 1, 1, 1), in the
    unit of the series; the standard deviation of the noise, (batch, 1, 1, 1), in units of the scale.
    """

    image: Tensor
    features: Tensor
    scale: Tensor
    noise: Tensor


class SpaceTimeConvolutions(nn.Module):
    """Convolve features in space, then in time, and add the result to them.

    Kernels of 3 x 3 pixels, then of 3 frames, take a quarter of the time of 3 x 3 x 3 (Tran et al., CVPR 2018).

    Args:
        features: channels before, between and after.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.space = nn.Conv2d(features, features, kernel_size=3, padding=1, bias=False)
        self.time = nn.Conv2d(features, features, kernel_size=(3, 1), padding=(1, 0), bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Correct features (batch, time, height, width, feature)."""
        return features + in_time(self.time, functional.relu(in_space(self.space, features), inplace=True))


class SeriesFeatureIteration(nn.Module):
    def __init__(self, features: int, blocks: int) -> None:
        super().__init__()
        self.read = nn.Conv2d(5, features, kernel_size=3, padding=1, bias=False)
        self.blocks = nn.Sequential(*(SpaceTimeConvolutions(features) for _ in range(blocks)))
        self.write = NarrowingConvolution(features, 3)
        nn.init.zeros_(self.write.weight)

    def forward(self, state: SeriesFeatureState, measurement: Tensor, operator: LinearOperator) -> SeriesFeatureState:
        """Advance the state by one iteration."""
        image, features, scale, noise = state
        shown = torch.stack([image, adjoint_residual(image, measurement, operator)], dim=-1) / scale[..., None]
        level = (NOISE_GAIN * noise)[..., None].expand(*image.shape, 1)
        shown = torch.cat([torch.view_as_real(shown).flatten(-2), level], dim=-1)
        features = self.blocks(in_space(self.read, shown) + features)
        written = at_least_single(in_space(self.write, features))
        image = image + scale * torch.view_as_complex(written[..., :2].contiguous())
        trust = torch.sigmoid(TRUST - TRUST_GAIN * written[..., 2])
        image = image + trust * adjoint_residual(image, measurement, operator)
        return SeriesFeatureState(image, features, scale, noise)


class FeatureUnrolledSeriesNet(UnrolledNetwork[SeriesFeatureState]):
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
            (SeriesFeatureIteration(features, blocks) for _ in range(iterations)), checkpoint_iterations, start
        )
        self.features = features

    def initial_state(self, image: Tensor) -> SeriesFeatureState:
        """Start from the first image, without features and as if there were no noise."""
        norm = torch.linalg.vector_norm(image.detach().flatten(1), dim=1) / image[0].numel() ** 0.5
        scale = norm.where(norm > 0, 1)[:, None, None, None]
        features = scale.new_zeros((*image.shape, self.features))
        return SeriesFeatureState(image, features, scale, torch.zeros_like(scale))

    def begin(self, image: Tensor, measurement: Tensor, operator: LinearOperator) -> SeriesFeatureState:
        """Start from the first image and the noise of the measurement."""
        state = self.initial_state(image)
        noise = estimate_noise(measurement, operator, image)[:, None, None, None]
        return state._replace(noise=noise / state.scale)


def in_space(convolution: nn.Module, features: Tensor) -> Tensor:
    """Convolve features (batch, time, height, width, feature) of each frame."""
    frames = features.flatten(0, 1).movedim(-1, 1)
    return convolution(frames).movedim(1, -1).unflatten(0, features.shape[:2])


def in_time(convolution: nn.Conv2d, features: Tensor) -> Tensor:
    """Convolve features (batch, time, height, width, feature) of each pixel."""
    curves: Tensor = _ConvolveInTime.apply(features.flatten(2, 3), convolution.weight)
    return curves.unflatten(2, features.shape[2:4])


class _ConvolveInTime(torch.autograd.Function):
    """Convolution in time whose gradient of the kernels is three matrix products: a quarter of the time on the CPU."""

    @staticmethod
    def forward(ctx: Any, curves: Tensor, kernels: Tensor) -> Tensor:
        ctx.save_for_backward(curves, kernels)
        return functional.conv2d(curves.movedim(-1, 1), kernels, padding=(1, 0)).movedim(1, -1)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        curves, kernels = ctx.saved_tensors
        mirrored = kernels.transpose(0, 1).flip(2)
        of_curves = functional.conv2d(gradient.movedim(-1, 1), mirrored, padding=(1, 0)).movedim(1, -1)
        flat, time = gradient.flatten(0, 2).mT, curves.shape[1]
        padded = functional.pad(curves, (0, 0, 0, 0, 1, 1))
        taps = [flat @ padded[:, tap : tap + time].flatten(0, 2) for tap in range(3)]
        return of_curves, torch.stack(taps, dim=-1)[..., None]
