"""Denoising of series of images."""

from typing import Any, ClassVar

from torch import nn

from lowrank_unroll.errors import UsageError
from lowrank_unroll.modules.series import SeriesModule
from lowrank_unroll.modules.supervision import SSDU
from lowrank_unroll.operators import Identity, LinearOperator
from lowrank_unroll.sample import Sample


class SeriesDenoising(SeriesModule):
    """Remove white noise from complex series of images, with targets or, by :class:`SURE`, without.

    Args:
        network: called as ``network(measurement, operator)``, returns complex series; learned or iterative.
        kwargs: see :class:`ReconstructionModule`.

    Raises:
        UsageError: if self-supervision is :class:`SSDU`, which leaves samples out: here they are all there is.
    """

    adjoint_name: ClassVar[str] = "noisy"

    def __init__(self, network: nn.Module, **kwargs: Any) -> None:
        if isinstance(kwargs.get("self_supervision"), SSDU):
            raise UsageError(
                "SSDU predicts samples that an undersampled measurement has left out, but a series with noise has them "
                "all: give --model.self_supervision SURE"
            )
        super().__init__(network, **kwargs)

    def operator(self, batch: Sample) -> LinearOperator:
        """Return the identity: the series itself is measured."""
        return Identity()
