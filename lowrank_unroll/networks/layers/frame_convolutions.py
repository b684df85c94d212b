"""3-D convolutions of series with few channels, computed frame by frame in 2-D.

A kernel of 3 frames is three kernels of one. Where there are fewer channels than a processor's vectors are long, the
three fill a vector together: it takes a quarter of the time of a 3-D convolution, see docs/cost.md.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowrank_unroll.networks.layers.narrowing_convolution import convolve_narrowing

FRAMES = 3  # of a kernel


class FrameConvolution(nn.Conv3d):
    """A convolution of (batch, channel, time, height, width), kernels of 3 a side, padded with zeros, without bias.

    Args:
        before: channels that go in.
        after: channels that come out.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, kernel_size=FRAMES, padding=1, bias=False)


class GatheringConvolution(FrameConvolution):
    """For few channels that go in: every frame has its neighbours as further channels."""

    def forward(self, series: Tensor) -> Tensor:
        """Convolve series."""
        batch, _, time, _, _ = series.shape
        padded = functional.pad(series.movedim(1, -1), (0, 0, 0, 0, 0, 0, 1, 1))
        gathered = torch.cat([padded[:, frame : frame + time] for frame in range(FRAMES)], dim=-1)
        kernels = self.weight.movedim(2, 1).flatten(1, 2)
        frames = functional.conv2d(gathered.flatten(0, 1).movedim(-1, 1), kernels, padding=1)
        return frames.reshape(batch, time, *frames.shape[1:]).movedim(2, 1)


class SpreadingConvolution(FrameConvolution):
    """For few channels that come out: every frame adds to itself and to its neighbours."""

    def forward(self, series: Tensor) -> Tensor:
        """Convolve series."""
        batch, _, time, height, width = series.shape
        kernels = self.weight.movedim(2, 0).flatten(0, 1)
        frames = convolve_narrowing(series.movedim(2, 1).flatten(0, 1), kernels)
        parts = frames.movedim(1, -1).reshape(batch, time, height, width, FRAMES, -1)
        to_next, to_itself, to_previous = parts.unbind(-2)
        padding = (0, 0, 0, 0, 0, 0)
        result = to_itself + functional.pad(to_next[:, :-1], (*padding, 1, 0))
        return (result + functional.pad(to_previous[:, 1:], (*padding, 0, 1))).movedim(-1, 1)
