"""A U-Net that corrects another reconstruction of a colour image (Jin et al., IEEE TIP 2017, arXiv 1611.03679)."""

from typing import ClassVar

from torch import Tensor, nn

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.networks.layers.u_net import UNet
from lowrank_unroll.networks.normalized import NormalizedNetwork, NormalizedState
from lowrank_unroll.operators import LinearOperator
from lowrank_unroll.sample import COLOUR_AXES


class Correction(nn.Module):
    """A correction of the image, without the measurement: x = x + CNN(x).

    Args:
        network: the CNN.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, state: NormalizedState, measurement: Tensor, operator: LinearOperator) -> NormalizedState:
        """Correct the image."""
        image, scale = state
        return NormalizedState(image + scale * at_least_single(self.network(image / scale)), scale)


class ResidualUNet(NormalizedNetwork):
    """A start and a U-Net that corrects it.

    The measurement is used in the start alone. Before training it is its start.

    Args:
        channels: channels of the image.
        features: channels at the first level, doubled at each further one.
        pools: number of pools.
        start: a network to start from, such as ``LinearInterpolation``; None for the zero-filled image.

    Raises:
        ValueError: if a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COLOUR_AXES
    image_is_complex: ClassVar[bool | None] = False

    def __init__(self, channels: int = 3, features: int = 16, pools: int = 3, start: nn.Module | None = None) -> None:
        check_at_least(1, channels=channels, features=features, pools=pools)
        super().__init__([Correction(UNet(channels, features, pools))], start=start)
        self.image_channels = channels
