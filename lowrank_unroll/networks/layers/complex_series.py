"""Real networks applied to complex series, whose real and imaginary parts are two channels."""

from torch import Tensor, nn

from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.networks.layers.convolutions import from_channels, to_channels


class ComplexFrames(nn.Module):
    """Apply a network of images to each frame of a complex series (batch, time, height, width).

    Args:
        network: from real images (batch, 2, height, width) to others of the same shape.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, series: Tensor) -> Tensor:
        """Return a complex series of the same shape."""
        frames = to_channels(series).transpose(1, 2)
        images = at_least_single(self.network(frames.flatten(0, 1)))
        return from_channels(images.reshape(frames.shape).transpose(1, 2))


class ComplexSeries(nn.Module):
    """Apply a network of series to a complex series (batch, time, height, width).

    Args:
        network: from real series (batch, 2, time, height, width) to others of the same shape.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, series: Tensor) -> Tensor:
        """Return a complex series of the same shape."""
        return from_channels(at_least_single(self.network(to_channels(series))))
