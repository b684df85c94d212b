"""Stacks of convolutions inside the networks, and complex series as their channels."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.networks.layers.compilation import Compiled
from lowrank_unroll.networks.layers.fast_convolutions import (
    FewInputsConv3d,
    FewOutputsConv2d,
    FewOutputsConv3d,
    FrameConv3d,
    SeriesConv3d,
)
from lowrank_unroll.torch_private import in_forward_mode

Activation = Callable[[], nn.Module]
Convolution = Callable[[int, int], nn.Module]

# In place, since nothing else reads the output of a convolution, and fresh memory takes longer than the activation.
RELU = partial(nn.ReLU, inplace=True)

# Values between two convolutions of an image that are in memory at once without a gradient: 64 megabytes.
LARGE = 2**24

# Vectorized convolutions work on blocks of so many channels, also where there are fewer.
BLOCK = 16


class Convolutions(nn.Sequential):
    """Convolutions with kernels of 3 a side, of channels (batch, channel, ...).

    Without bias, as in all networks but DCCNN, the stack is positively homogeneous: stack(c x) = c stack(x) for c > 0.
    Under automatic mixed precision it computes in half precision and returns single precision, for complex numbers and
    singular values.

    If ``compiled`` is true, it is compiled in training, where samples have one size or a few: the compiler starts anew
    for each of the first eight sizes, and leaves the others alone. In evaluation each sample may have its own size. In
    forward mode it runs uncompiled: compiled code takes no tangents.

    Args:
        convolution: makes a convolution of the numbers of channels before and after it.
        widths: channels before the first convolution, between each two, and after the last.
        activation: makes the activation between two convolutions.
    """

    compiled_on_cpu: ClassVar[bool] = True
    """False for a stack that would be slower compiled on the CPU, and is compiled on other devices only."""

    def __init__(self, convolution: Convolution, widths: Sequence[int], activation: Activation = RELU) -> None:
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for index, (before, after) in enumerate(pairwise(widths)):
            if index > 0:
                layers[f"activation{index - 1}"] = activation()
            layers[f"conv{index}"] = convolution(before, after)
        super().__init__(layers)
        self.compiled = False

    def begin_at_zero(self) -> Self:
        """Set the weights of the last convolution to zero, so that the stack returns zeros before training."""
        for weight in self[-1].parameters():
            nn.init.zeros_(weight)
        return self

    def forward(self, channels: Tensor) -> Tensor:
        """Convolve the channels."""
        return at_least_single(self.convolve(channels))

    def convolve(self, channels: Tensor) -> Tensor:
        """Convolve the channels, and leave the result in the precision of the convolutions."""
        compiles_here = (self.compiled_on_cpu or channels.device.type != "cpu") and not in_forward_mode()
        return (_convolve_compiled if self.compiled and self.training and compiles_here else _convolve)(self, channels)


class ImageConvolutions(Convolutions):
    """2-D convolutions of (batch, channel, height, width), with ReLU between them.

    Args:
        widths: channels before the first convolution, between each two, and after the last.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__(_fastest_conv2d, widths)
        self.widest = max(widths)

    def forward(self, channels: Tensor) -> Tensor:
        """Convolve images; without a gradient, large ones in bands of rows to save memory, to the same bits."""
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
        # Convolutions are faster on channels-last memory, but the SVD needs contiguous matrices.
        return super().forward(channels.contiguous(memory_format=torch.channels_last)).contiguous()


class ResidualConvolutions(Convolutions):
    """A residual block: two 2-D convolutions of features (batch, feature, height, width), added to them.

    Args:
        features: channels before, between and after.
    """

    def __init__(self, features: int) -> None:
        super().__init__(partial(nn.Conv2d, kernel_size=3, padding=1, bias=False), [features] * 3)

    def forward(self, channels: Tensor) -> Tensor:
        """Add the convolved features to the features; half precision stays half."""
        return channels + self.convolve(channels)


class SeriesConvolutions(Convolutions):
    """3-D convolutions of real channels (batch, channel, time, height, width).

    Args:
        widths: channels before the first convolution, between each two, and after the last.
        activation: makes the activation between two convolutions.
        bias: add a learned bias after each convolution.
    """

    # L+S-Net's training step was 14 % slower when compiled, and the others' at most 9 % faster, see docs/scaling.md.
    compiled_on_cpu: ClassVar[bool] = False

    def __init__(self, widths: Sequence[int], activation: Activation = RELU, bias: bool = False) -> None:
        super().__init__(partial(_fastest_conv3d, bias=bias), widths, activation)


class ComplexConvolutions(SeriesConvolutions):
    """Convolutions of one or more complex series into one, all (batch, time, height, width).

    Args:
        features: channels between the convolutions.
        series: number of series that go in.
        activation: makes the activation between two convolutions.
    """

    def __init__(self, features: int, series: int = 1, activation: Activation = RELU) -> None:
        super().__init__((2 * series, features, features, 2), activation)

    def forward(self, *series: Tensor) -> Tensor:
        """Convolve the channels of the series together."""
        return from_channels(super().forward(to_channels(*series)))


def to_channels(*series: Tensor) -> Tensor:
    """Return n complex series as real channels (batch, 2 n, time, height, width): real parts, then imaginary parts.

    >>> to_channels(torch.tensor([[[[1 + 2j]]]])).squeeze()
    tensor([1., 2.])
    """
    # The memory is channels-last, like the parts of complex numbers, which convolutions on the CPU prefer.
    stacked = torch.stack(series, dim=-1)
    # Flattened, since PyTorch before 2.11 refuses gradients with odd strides, as convolutions leave in dims of size 1.
    parts = torch.view_as_real(stacked.flatten()).view(*stacked.shape, 2)
    return parts.transpose(-1, -2).flatten(-2).movedim(-1, 1)


def from_channels(channels: Tensor) -> Tensor:
    """Return the complex series (batch, time, height, width) of a real and an imaginary channel."""
    parts = channels.movedim(1, -1).contiguous()
    # Flattened for the same reason as in `to_channels`.
    return torch.view_as_complex(parts.view(-1, 2)).view(parts.shape[:-1])


def _fastest_conv2d(before: int, after: int) -> nn.Conv2d:
    if after < before:
        return FewOutputsConv2d(before, after)
    return nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)


def _fastest_conv3d(before: int, after: int, bias: bool) -> FrameConv3d:
    if 3 * before <= BLOCK:
        return FewInputsConv3d(before, after, bias)
    if 3 * after <= BLOCK:
        return FewOutputsConv3d(before, after, bias)
    return SeriesConv3d(before, after, bias)


def _convolve(layers: nn.Sequential, channels: Tensor) -> Tensor:
    for layer in layers:
        channels = layer(channels)
    return channels


_convolve_compiled = Compiled(_convolve)
