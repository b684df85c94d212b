"""CineVN: variational networks of periodic series (Vornehm et al., Magn. Reson. Med. 2025)."""

from torch import nn

from lowrank_unroll.networks.layers.complex_series import ComplexSeries
from lowrank_unroll.networks.layers.u_net import SpaceTimeUNet
from lowrank_unroll.networks.var_net import VarNet


class CineVN(VarNet):
    """:class:`VarNet` whose U-Nets convolve in space, then in time, where the first frame follows the last.

    It is for one cycle of a periodic motion: a circular shift of the measurement in time shifts the reconstruction.
    Defaults are for trainings on a CPU; the published network has 16 features, 2 pools and 15 iterations, and applies
    conjugate gradients after some of them, which are left out here. Arguments are those of :class:`VarNet`.
    """

    def __init__(
        self,
        features: int = 8,
        iterations: int = 6,
        pools: int = 2,
        checkpoint_iterations: bool = False,
        start: nn.Module | None = None,
    ) -> None:
        super().__init__(features, iterations, pools, checkpoint_iterations, start)

    @staticmethod
    def regularizer(features: int, pools: int) -> nn.Module:
        """Return the U-Net of a cascade."""
        return ComplexSeries(SpaceTimeUNet(2, features, pools))
