"""Convolutions computed another way, which is faster on a CPU for few channels; see docs/cost.md.

Kernels are 3 a side, inputs are padded with zeros, and there is no bias. Weights are those of ``nn.Conv2d`` and
``nn.Conv3d``, and so are the results, up to rounding.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

FRAMES = 3  # of a kernel


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
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, kernel_size=FRAMES, padding=1, bias=False)


class FewInputsConv3d(FrameConv3d):
    """Convolve series of few channels: stack each frame with its neighbors as further channels."""

    def forward(self, series: Tensor) -> Tensor:
        """Convolve series."""
        batch, _, time, _, _ = series.shape
        padded = functional.pad(series.movedim(1, -1), (0, 0, 0, 0, 0, 0, 1, 1))
        stacked = torch.cat([padded[:, frame : frame + time] for frame in range(FRAMES)], dim=-1)
        kernels = self.weight.movedim(2, 1).flatten(1, 2)
        frames = functional.conv2d(stacked.flatten(0, 1).movedim(-1, 1), kernels, padding=1)
        return frames.reshape(batch, time, *frames.shape[1:]).movedim(2, 1)


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
        return (result + functional.pad(to_previous[:, 1:], (*padding, 0, 1))).movedim(-1, 1)


def convolve_to_few(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve images with kernels (after, before, 3, 3), padded with zeros.

    A convolution is the transposed convolution with mirrored kernels. They differ in the gradient of the kernels:
    where few channels come out, PyTorch's CPU backend takes a fifth of the time for that of the transposed one.
    """
    if images.device.type != "cpu":
        return functional.conv2d(images, kernels, padding=1)
    return functional.conv_transpose2d(images, kernels.transpose(0, 1).flip(-2, -1), padding=1)
