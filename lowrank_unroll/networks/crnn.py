"""CRNN-MRI: convolutions that recur over time and over iterations (Qin et al., IEEE TMI 2019, arXiv 1712.01751)."""

from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.networks.layers.space_time_convolutions import SpatialConvolution
from lowrank_unroll.networks.normalized import rms_scale
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.operators import LinearOperator, gradient_step
from lowrank_unroll.sample import SERIES_AXES

LAYERS = 4  # with recurrence


class CRNNState(NamedTuple):
    """The series x, (batch, time, height, width), complex, its unit, and the hidden features of the recurrent layers.

    The unit, (batch, 1, 1, 1), is the root mean square of the first series. The hidden features are real, (layer,
    batch, time, height, width, feature).
    """

    image: Tensor
    scale: Tensor
    hidden: Tensor


class RecurrentConvolution(nn.Module):
    """A layer that recurs over iterations i, CRNN-i of the paper: h_i = ReLU(W_in * x_i + W_it * h_(i-1) + b).

    Args:
        before: channels that go in.
        features: channels that come out.
    """

    def __init__(self, before: int, features: int) -> None:
        super().__init__()
        self.from_input = SpatialConvolution(before, features, bias=True)
        self.from_iteration = SpatialConvolution(features, features, bias=True)

    def forward(self, frames: Tensor, previous: Tensor) -> Tensor:
        """Return the hidden features of an iteration, all (batch, time, height, width, channel)."""
        return self.combine(frames, previous).relu_()

    def combine(self, frames: Tensor, previous: Tensor) -> Tensor:
        """Return the hidden features before the activation."""
        return cast("Tensor", self.from_input(frames) + self.from_iteration(previous))


class BidirectionalConvolution(RecurrentConvolution):
    """A layer that recurs over iterations i and, in both directions, over time t, BCRNN-t-i of the paper.

    f_(i,t) = ReLU(W_in * x_(i,t) + W_it * h_(i-1,t) + W_time * f_(i,t-1) + b)
    g_(i,t) = ReLU(W_in * x_(i,t) + W_it * h_(i-1,t) + W_time * g_(i,t+1) + b);    h = f + g
    """

    def __init__(self, before: int, features: int) -> None:
        super().__init__(before, features)
        self.from_neighbor = SpatialConvolution(features, features, bias=True)

    def forward(self, frames: Tensor, previous: Tensor) -> Tensor:
        """Return the hidden features of an iteration, all (batch, time, height, width, channel)."""
        known = self.combine(frames, previous)
        both = torch.cat([known, known.flip(1)])  # forwards and backwards, as one batch
        hidden, passed = torch.zeros_like(both[:, :1]), []
        for frame in both.chunk(both.shape[1], dim=1):
            hidden = (frame + self.from_neighbor(hidden)).relu_()
            passed.append(hidden)
        forwards, backwards = torch.cat(passed, dim=1).chunk(2)
        return forwards + backwards.flip(1)


class CRNNIteration(nn.Module):
    """Correct the series by four recurrent layers and a convolution, and make it agree with the measurement.

    Args:
        features: channels of the hidden features.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [
                BidirectionalConvolution(2, features),
                *(RecurrentConvolution(features, features) for _ in range(LAYERS - 1)),
            ]
        )
        self.write = SpatialConvolution(features, 2, bias=True)

    def forward(self, state: CRNNState, measurement: Tensor, operator: LinearOperator) -> CRNNState:
        """Advance the state by one iteration."""
        features, hidden = torch.view_as_real(state.image / state.scale), []
        for layer, previous in zip(self.layers, state.hidden, strict=True):
            features = layer(features, previous)
            hidden.append(features)
        correction = torch.view_as_complex(at_least_single(self.write(features)).contiguous())
        # For a single coil this is the projection onto the measurement. For several, it is that of the image of each
        # coil, combined by the sensitivities, if their squared magnitudes add up to 1.
        image = gradient_step(state.image + state.scale * correction, measurement, operator)
        return CRNNState(image, state.scale, torch.stack(hidden))


class CRNN(UnrolledNetwork[CRNNState]):
    """A recurrent network that hands its features on to the next iteration, and in a layer to the next frame.

    All iterations share their weights, and so do the two directions of time: 297,794 parameters by default, as
    published, with a bias in each convolution. Unlike the published one, it works in units of the root mean square of
    its start, and so is positively homogeneous. Data consistency is that of a measurement without noise, as published;
    for several coils it is a gradient step of size 1.

    Args:
        features: channels of the hidden features.
        iterations: number of unrolled iterations.
        checkpoint_iterations: save memory in training, see :class:`UnrolledNetwork`.
        start: a network to start from, see :class:`UnrolledNetwork`; None for the zero-filled series, as published.

    Raises:
        ValueError: if a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(
        self,
        features: int = 64,
        iterations: int = 10,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        check_at_least(1, features=features, iterations=iterations)
        super().__init__([CRNNIteration(features)], checkpoint_iterations, start, iterations)
        self.features = features

    def initial_state(self, image: Tensor) -> CRNNState:
        """Start from the first image, and hidden features of zero."""
        scale = rms_scale(image)
        return CRNNState(image, scale, scale.new_zeros((LAYERS, *image.shape, self.features)))
