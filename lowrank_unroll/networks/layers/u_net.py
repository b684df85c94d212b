"""U-Nets of images and of series."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowrank_unroll.networks.layers.fast_convolutions import PeriodicTemporalConv3d, SpatialConv3d

# Where features vanish, each normalization multiplies gradients by EPSILON^-1/2. With PyTorch's 1e-5, those of the 22
# layers of four pools overflowed for images of zeros and kernels of standard deviation 0.3.
EPSILON = 1e-3
SLOPE = 0.2  # of the leaky ReLU


class UNet(nn.Module):
    """A U-Net of real images (batch, channel, height, width) (Ronneberger et al., arXiv 1505.04597).

    With the layers of Sriram et al. (arXiv 2004.06688): at each level two convolutions of 3 x 3 without bias, each with
    instance normalization and leaky ReLU. From level to level the features double, and an average pool halves the
    image; transposed convolutions lead back up. It returns zeros before training.

    Args:
        channels: channels of the images, before and after.
        features: channels at the first level.
        pools: number of pools, one less than there are levels.
    """

    def __init__(self, channels: int, features: int, pools: int) -> None:
        super().__init__()
        widths = [features * 2**level for level in range(pools + 1)]
        self.encoders = nn.ModuleList(self._block(before, after) for before, after in pairwise([channels, *widths]))
        steps_up = list(pairwise(reversed(widths)))
        self.upsamplings = nn.ModuleList(_normalized(self.upsampling(before, after)) for before, after in steps_up)
        self.decoders = nn.ModuleList(self._block(2 * after, after) for _, after in steps_up)
        self.last = self.pointwise(features, channels)
        for parameter in self.last.parameters():
            nn.init.zeros_(parameter)

    @staticmethod
    def convolution(before: int, after: int) -> nn.Module:
        """Return a convolution that keeps the size."""
        return nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False)

    @staticmethod
    def upsampling(before: int, after: int) -> nn.Module:
        """Return a convolution that doubles the size."""
        return nn.ConvTranspose2d(before, after, kernel_size=2, stride=2, bias=False)

    @staticmethod
    def pointwise(before: int, after: int) -> nn.Module:
        """Return a convolution of single pixels."""
        return nn.Conv2d(before, after, kernel_size=1)

    @staticmethod
    def pool(features: Tensor) -> Tensor:
        """Halve the size of features."""
        return functional.avg_pool2d(features, kernel_size=2)

    def _block(self, before: int, after: int) -> nn.Sequential:
        first, second = self.convolution(before, after), self.convolution(after, after)
        return nn.Sequential(_normalized(first), _normalized(second))

    def forward(self, images: Tensor) -> Tensor:
        """Return images of the same shape; of any size, since it pads them with zeros to one that it can halve."""
        height, width = images.shape[-2:]
        unit = 2 ** len(self.decoders)
        features = functional.pad(images, (0, _lacking(width, unit), 0, _lacking(height, unit)))
        levels = []
        for level, encoder in enumerate(self.encoders):
            features = encoder(self.pool(features) if level else features)
            levels.append(features)
        levels.pop()
        for upsampling, decoder in zip(self.upsamplings, self.decoders, strict=True):
            features = decoder(torch.cat([upsampling(features), levels.pop()], dim=1))
        result: Tensor = self.last(features)
        return result[..., :height, :width]


class SpaceTimeUNet(UNet):
    """A :class:`UNet` of real series (batch, channel, time, height, width), which pools in space only.

    Convolutions are of 3 x 3 pixels, then, after a leaky ReLU, of 3 frames (Tran et al., CVPR 2018). The series is
    periodic: the first frame follows the last.
    """

    @staticmethod
    def convolution(before: int, after: int) -> nn.Module:
        """Return a convolution in space, then in time."""
        return nn.Sequential(
            SpatialConv3d(before, after), nn.LeakyReLU(SLOPE, inplace=True), PeriodicTemporalConv3d(after)
        )

    @staticmethod
    def upsampling(before: int, after: int) -> nn.Module:
        """Return a convolution that doubles the size of each frame."""
        return nn.ConvTranspose3d(before, after, kernel_size=(1, 2, 2), stride=(1, 2, 2), bias=False)

    @staticmethod
    def pointwise(before: int, after: int) -> nn.Module:
        """Return a convolution of single pixels."""
        return nn.Conv3d(before, after, kernel_size=1)

    @staticmethod
    def pool(features: Tensor) -> Tensor:
        """Halve the size of each frame of features."""
        return functional.avg_pool3d(features, kernel_size=(1, 2, 2))


class InstanceNorm(nn.Module):
    """Give each channel of each image or series mean 0 and variance 1 (Ulyanov et al., arXiv 1607.08022)."""

    def forward(self, features: Tensor) -> Tensor:
        """Normalize features (batch, channel, ...)."""
        return functional.instance_norm(features, eps=EPSILON)


def _normalized(convolution: nn.Module) -> nn.Sequential:
    return nn.Sequential(convolution, InstanceNorm(), nn.LeakyReLU(SLOPE, inplace=True))


def _lacking(side: int, unit: int) -> int:
    """Return the pixels that a side lacks to a multiple of a unit, and to two of them: one pixel has no variance."""
    return max(-side % unit, 2 * unit - side)
