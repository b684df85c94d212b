"""The small convolutional transforms inside the networks, and complex series as their channels."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.networks.layers.compilation import Compiled
from lowrank_unroll.networks.layers.frame_convolutions import GatheringConvolution, SpreadingConvolution
from lowrank_unroll.networks.layers.narrowing_convolution import NarrowingConvolution

Activation = Callable[[], nn.Module]
Convolution = Callable[[int, int], nn.Module]

# Nothing else needs what a convolution returns, and fresh memory costs more time than the activation.
RELU = partial(nn.ReLU, inplace=True)

# PyTorch's CPU backend convolves a single sample of at most so many values, its width not counted, by a slow method.
SLOW_BELOW = 20_480

# Values between two convolutions of an image that are in memory at once where no gradient is wanted: 64 megabytes.
LARGE = 2**24

# Vectorised convolutions work on blocks of so many channels, also where there are fewer.
BLOCK = 16


class Convolutions(nn.Sequential):
    """Convolutions with kernels of 3 a side and without bias, of channels (batch, channel, ...).

    Without bias the stack is positively homogeneous: stack(c x) = c stack(x) for c > 0. Under automatic mixed precision
    it computes in half precision and returns single, in which complex numbers and singular values are.

    Where ``compiled`` is true, training is compiled, whose samples are of one size or a few: the compiler starts anew
    for each of the first eight sizes, and leaves the others alone. In evaluation each sample may have its own size.

    Args:
        convolutions: each makes a convolution, from the channels before and after it.
        widths: channels before the first convolution, between each two, and after the last.
        activation: makes the activation between two convolutions.
    """

    compiled_on_cpu: ClassVar[bool] = True
    """Whether it is compiled also on the CPU: not where that would be slower."""

    def __init__(
        self, convolutions: Sequence[Convolution], widths: Sequence[int], activation: Activation = RELU
    ) -> None:
        super().__init__(_layers(convolutions, widths, activation))
        self.compiled = False

    def begin_at_zero(self) -> Self:
        """Make all channels zero until training changes that: the weights of the last convolution are set to zero."""
        for weight in self[-1].parameters():
            nn.init.zeros_(weight)
        return self

    def forward(self, channels: Tensor) -> Tensor:
        """Convolve the channels."""
        return at_least_single(self.convolve(channels))

    def convolve(self, channels: Tensor) -> Tensor:
        """Convolve the channels, and leave the result in the precision of the convolutions."""
        here = self.compiled_on_cpu or channels.device.type != "cpu"
        return (_convolve_compiled if self.compiled and self.training and here else _convolve)(self, channels)


class ImageConvolutions(Convolutions):
    """2-D convolutions of (batch, channel, height, width), ReLU between them.

    Args:
        widths: channels before the first convolution, between each two, and after the last.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__([_image_convolution(*pair) for pair in pairwise(widths)], widths)
        self.widest = max(widths)

    def forward(self, channels: Tensor) -> Tensor:
        """Convolve the images; large ones, of which no gradient is wanted, band by band, to the same bits."""
        height, width = channels.shape[-2:]
        rows = max(1, LARGE // (self.widest * width))
        if torch.is_grad_enabled() or rows >= height:
            return self._convolve(channels)
        reach = len(self) - len(self) // 2  # pixels: each convolution reaches one further
        bands = []
        for top in range(0, height, rows):
            first = max(0, top - reach)
            band = self._convolve(channels[..., first : top + rows + reach, :])
            bands.append(band[..., top - first : top - first + rows, :])
        return torch.cat(bands, dim=-2)

    def _convolve(self, channels: Tensor) -> Tensor:
        # Channels last in memory convolve faster, whole channels are matrices.
        return super().forward(channels.contiguous(memory_format=torch.channels_last)).contiguous()


class ResidualConvolutions(Convolutions):
    """Two 2-D convolutions of features (batch, feature, height, width), whose result is added to them.

    Args:
        features: channels before, between and after.
    """

    def __init__(self, features: int) -> None:
        super().__init__([_convolution(nn.Conv2d)] * 2, [features] * 3)

    def forward(self, channels: Tensor) -> Tensor:
        """Add what the convolutions make of the features; half precision stays half."""
        return channels + self.convolve(channels)


class SeriesConvolutions(Convolutions):
    """3-D convolutions of real channels (batch, channel, time, height, width).

    Args:
        widths: channels before the first convolution, between each two, and after the last.
        activation: makes the activation between two convolutions.
    """

    # L+S-Net's training step was 14 % slower when compiled, and the others' at most 9 % faster, see docs/scaling.md.
    compiled_on_cpu: ClassVar[bool] = False

    def __init__(self, widths: Sequence[int], activation: Activation = RELU) -> None:
        super().__init__([_series_convolution(*pair) for pair in pairwise(widths)], widths, activation)
        self.widest = max(widths)

    def forward(self, channels: Tensor) -> Tensor:
        """Convolve the channels."""
        samples, _, time, height, _ = channels.shape
        if samples == 1 and channels.device.type == "cpu" and self.widest * time * height <= SLOW_BELOW:
            # Two samples take a sixth of the time of one.
            return super().forward(torch.cat([channels, channels]))[:1]
        return super().forward(channels)


class ComplexConvolutions(SeriesConvolutions):
    """Convolutions of complex series that result in one, all (batch, time, height, width).

    Args:
        features: channels between the convolutions.
        series: how many series go in.
        activation: makes the activation between two convolutions.
    """

    def __init__(self, features: int, series: int = 1, activation: Activation = RELU) -> None:
        super().__init__((2 * series, features, features, 2), activation)

    def forward(self, *series: Tensor) -> Tensor:
        """Convolve the channels of the series together."""
        return from_channels(super().forward(to_channels(*series)))


def to_channels(*series: Tensor) -> Tensor:
    """Real channels (batch, 2 n, time, height, width) of n complex series: all real parts, then all imaginary parts."""
    # The channels are last in memory, as the parts of complex numbers are anyway: convolutions on the CPU prefer it.
    stacked = torch.stack(series, dim=-1)
    # Flat, since PyTorch before 2.11 refuses a gradient with an odd stride, which convolutions leave in dims of size 1.
    parts = torch.view_as_real(stacked.flatten()).view(*stacked.shape, 2)
    return parts.transpose(-1, -2).flatten(-2).movedim(-1, 1)


def from_channels(channels: Tensor) -> Tensor:
    """The complex series (batch, time, height, width) of its real and imaginary channel."""
    parts = channels.movedim(1, -1).contiguous()
    # Flat for the same reason as in `to_channels`.
    return torch.view_as_complex(parts.view(-1, 2)).view(parts.shape[:-1])


def _convolution(kind: type[nn.Conv2d | nn.Conv3d]) -> Convolution:
    return partial(kind, kernel_size=3, padding=1, bias=False)


def _image_convolution(before: int, after: int) -> Convolution:
    """The class that convolves images in the least time, for some channels before and after."""
    return NarrowingConvolution if after < before else _convolution(nn.Conv2d)


def _series_convolution(before: int, after: int) -> Convolution:
    """The class that convolves series in the least time, for some channels before and after."""
    if 3 * before <= BLOCK:
        return GatheringConvolution
    if 3 * after <= BLOCK:
        return SpreadingConvolution
    return _convolution(nn.Conv3d)


def _convolve(layers: nn.Sequential, channels: Tensor) -> Tensor:
    for layer in layers:
        channels = layer(channels)
    return channels


_convolve_compiled = Compiled(_convolve)


def _layers(
    convolutions: Sequence[Convolution], widths: Sequence[int], activation: Activation
) -> OrderedDict[str, nn.Module]:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for index, (convolution, widths_around) in enumerate(zip(convolutions, pairwise(widths), strict=True)):
        if index > 0:
            layers[f"activation{index - 1}"] = activation()
        layers[f"conv{index}"] = convolution(*widths_around)
    return layers
