"""Convolutions of the features of a series, first in space, then in time."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowrank_unroll.networks.layers.fast_convolutions import FewOutputsConv2d

FRAMES = 3  # of a kernel


class SpaceTimeConvolutions(nn.Module):
    """Add to features what a convolution in space, ReLU, and a convolution in time make of them.

    Kernels of 3 x 3 pixels, then of 3 frames, take a quarter of the time of 3 x 3 x 3 (Tran et al., CVPR 2018). Without
    bias they are positively homogeneous.

    Without a gradient, contiguous features on a CPU are overwritten, as by ``nn.ReLU(inplace=True)``: the system may
    take longer to provide new memory than the convolution in time takes.

    Args:
        features: channels before, between and after.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.space = SpatialConvolution(features, features)
        self.time = TemporalConvolution(features)

    def forward(self, features: Tensor) -> Tensor:
        """Correct features (batch, time, height, width, feature)."""
        in_half_precision = features.dtype != self.space.weight.dtype
        if torch.is_grad_enabled() or features.device.type != "cpu" or in_half_precision:
            correction: Tensor = self.time(self._convolved_in_space(features))
            return features + correction
        features = features.contiguous()
        for sample in torch.split(features, 1):
            self._correct_in_place(sample)
        return features

    def _correct_in_place(self, features: Tensor) -> None:
        """Correct the features of one sample frame by frame, so that a few frames stay in the cache."""
        frames = torch.split(features, 1, dim=1)
        before: Tensor | None = None
        frame: Tensor | None = self._convolved_in_space(frames[0])
        for index, corrected in enumerate(frames):
            after = self._convolved_in_space(frames[index + 1]) if index + 1 < len(frames) else None
            pixels = corrected.view(-1, corrected.shape[-1])
            for neighbor, kernel in zip((before, frame, after), self.time.frame_kernels(), strict=True):
                if neighbor is not None:  # in half precision under autocast
                    pixels.addmm_(neighbor.reshape(pixels.shape).to(pixels.dtype), kernel.mT)
            before, frame = frame, after

    def _convolved_in_space(self, features: Tensor) -> Tensor:
        return functional.relu(self.space(features), inplace=True)


class SpatialConvolution(nn.Conv2d):
    """A convolution of each frame of features (batch, time, height, width, feature), 3 x 3, padded with zeros.

    Args:
        before: channels that go in.
        after: channels that come out.
        bias: add a learned constant to each channel.
    """

    def __init__(self, before: int, after: int, *, bias: bool = False) -> None:
        super().__init__(before, after, kernel_size=3, padding=1, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve features."""
        return _convolve_frames(super().forward, features)


class FewOutputsSpatialConvolution(FewOutputsConv2d):
    """A :class:`SpatialConvolution` with fewer channels after than before."""

    def forward(self, features: Tensor) -> Tensor:
        """Convolve features."""
        return _convolve_frames(super().forward, features)


class TemporalConvolution(nn.Conv2d):
    """A convolution of the curve of each pixel in features (batch, time, height, width, feature), padded with zeros.

    Args:
        features: channels before and after.
    """

    def __init__(self, features: int) -> None:
        super().__init__(features, features, kernel_size=(FRAMES, 1), padding=(1, 0), bias=False)

    def forward(self, features: Tensor) -> Tensor:
        """Convolve features."""
        curves = features.flatten(2, 3)
        if curves.device.type == "cpu" and torch.is_grad_enabled():
            return self._multiply(curves).reshape(features.shape)
        return super().forward(curves.movedim(-1, 1)).movedim(1, -1).reshape(features.shape)

    def frame_kernels(self) -> tuple[Tensor, ...]:
        """Return the matrices (feature, feature) that multiply the frame before, the frame itself and the next one."""
        return self.weight.squeeze(-1).unbind(-1)

    def _multiply(self, curves: Tensor) -> Tensor:
        # PyTorch's CPU backend takes five times as long for the gradient of these kernels as for a matrix's.
        time = curves.shape[1]
        padded = functional.pad(curves, (0, 0, 0, 0, 1, 1))
        gathered = torch.cat([padded[:, frame : frame + time] for frame in range(FRAMES)], dim=-1)
        return functional.linear(gathered, self.weight.squeeze(-1).movedim(2, 1).flatten(1, 2))


def _convolve_frames(convolve: Callable[[Tensor], Tensor], features: Tensor) -> Tensor:
    """Convolve the frames of features as images, whose channels are last in memory as they are here."""
    frames = convolve(features.flatten(0, 1).movedim(-1, 1)).movedim(1, -1)
    return frames.reshape(*features.shape[:2], *frames.shape[1:])
