"""Convolutions computed another way, which is faster on a CPU for few channels; see docs/cost.md.

Kernels are 3 a side, and inputs are padded with zeros. Weights are those of ``nn.Conv2d`` and ``nn.Conv3d``, and so are
the results, up to rounding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

FRAMES = 3  # of a kernel

# PyTorch's CPU backend does not vectorize the 3-D convolution of a single series of up to so many channels x frames x
# rows (`use_mkldnn` of its Convolution.cpp).
NOT_VECTORIZED = 20_480


class FewOutputsConv2d(nn.Conv2d):
    """Convolve images (batch, channel, height, width) into fewer channels, as a transposed convolution.

    Args:
        before: channels that go in.
        after: channels that come out, fewer.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, kernel_size=3, padding=1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        """Convolve images."""
        return convolve_to_few(images, self.weight)


class FrameConv3d(nn.Conv3d):
    """Convolve series (batch, channel, time, height, width) frame by frame, by 2-D convolutions.

    A kernel of 3 frames is three kernels of one. Where there are fewer channels than a vector register of the CPU
    holds, the three fill it together, which takes a quarter of the time of a 3-D convolution.

    Args:
        before: channels that go in.
        after: channels that come out.
        bias: add a learned bias to each channel.
    """

    def __init__(self, before: int, after: int, bias: bool = False) -> None:
        super().__init__(before, after, kernel_size=FRAMES, padding=1, bias=bias)


class FewInputsConv3d(FrameConv3d):
    """Convolve series of few channels: stack each frame with its neighbors as further channels."""

    def forward(self, series: Tensor) -> Tensor:
        """Convolve series."""
        return _convolve_stacked(series, self.weight, self.bias)


class FewOutputsConv3d(FrameConv3d):
    """Convolve series into few channels: add what each frame contributes to itself and to its neighbors."""

    def forward(self, series: Tensor) -> Tensor:
        """Convolve series."""
        batch, _, time, height, width = series.shape
        kernels = self.weight.movedim(2, 0).flatten(0, 1)
        frames = convolve_to_few(series.movedim(2, 1).flatten(0, 1), kernels)
        parts = frames.movedim(1, -1).reshape(batch, time, height, width, FRAMES, -1)
        to_next, to_itself, to_previous = parts.unbind(-2)
        padding = (0, 0, 0, 0, 0, 0)
        result = to_itself + functional.pad(to_next[:, :-1], (*padding, 1, 0))
        result = result + functional.pad(to_previous[:, 1:], (*padding, 0, 1))
        return (result if self.bias is None else result + self.bias).movedim(-1, 1)


class SeriesConv3d(FrameConv3d):
    """Convolve series of many channels at once, small ones on the CPU frame by frame.

    The choice depends on the size of a series, not on their number, so that a series gets the same bits in every batch.
    """

    def forward(self, series: Tensor) -> Tensor:
        """Convolve series."""
        if _is_small(series):
            return _convolve_stacked(series, self.weight, self.bias)
        return super().forward(series)


class SpatialConv3d(nn.Conv3d):
    """Convolve each frame of series (batch, channel, time, height, width), 3 x 3.

    Args:
        before: channels that go in.
        after: channels that come out.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, kernel_size=(1, 3, 3), padding=(0, 1, 1), bias=False)

    def forward(self, series: Tensor) -> Tensor:
        """Convolve series."""
        if not _is_small(series):
            return super().forward(series)
        frames = series.transpose(1, 2)
        convolved = functional.conv2d(frames.flatten(0, 1), self.weight.squeeze(2), padding=1)
        return convolved.reshape(*frames.shape[:2], *convolved.shape[1:]).transpose(1, 2)


class PeriodicTemporalConv3d(nn.Conv3d):
    """Convolve the curve of each pixel of periodic series (batch, channel, time, height, width), 3 frames.

    Args:
        channels: channels before and after.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, (FRAMES, 1, 1), padding=(1, 0, 0), padding_mode="circular", bias=False)

    def forward(self, series: Tensor) -> Tensor:
        """Convolve series."""
        if not _is_small(series):
            return super().forward(series)
        curves = series.movedim(1, -1)
        gathered = torch.cat([curves.roll(1, 1), curves, curves.roll(-1, 1)], dim=-1)
        kernels = self.weight.flatten(2).movedim(2, 1).flatten(1, 2)
        return functional.linear(gathered, kernels).movedim(-1, 1)


def _is_small(series: Tensor) -> bool:
    """Return whether PyTorch does not vectorize the 3-D convolution; False where a compiler would fix the answer."""
    _, channels, time, height, _ = series.shape
    if series.device.type != "cpu" or torch.compiler.is_compiling():
        return False
    return channels * time * height <= NOT_VECTORIZED


def _convolve_stacked(series: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Convolve series by 2-D convolutions of each frame and its neighbors, stacked as further channels."""
    batch, _, time, _, _ = series.shape
    padded = functional.pad(series.movedim(1, -1), (0, 0, 0, 0, 0, 0, 1, 1))
    stacked = torch.cat([padded[:, frame : frame + time] for frame in range(FRAMES)], dim=-1)
    kernels = weight.movedim(2, 1).flatten(1, 2)
    frames = functional.conv2d(stacked.flatten(0, 1).movedim(-1, 1), kernels, bias, padding=1)
    return frames.reshape(batch, time, *frames.shape[1:]).movedim(2, 1)


def convolve_to_few(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve images with kernels (after, before, 3, 3), padded with zeros.

    A convolution is the transposed convolution with mirrored kernels. They differ in the gradient of the kernels:
    where few channels come out, PyTorch's CPU backend takes a fifth of the time for that of the transposed one.
    """
    if images.device.type != "cpu":
        return functional.conv2d(images, kernels, padding=1)
    return functional.conv_transpose2d(images, kernels.transpose(0, 1).flip(-2, -1), padding=1)
