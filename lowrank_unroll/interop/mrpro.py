"""mrpro: the nuclear norm as a proximable functional, and its linear operators as ours."""

from typing import Any

from torch import Tensor

from lowrank_unroll.extras import import_extra
from lowrank_unroll.interop.nuclear_norm import FRAMES, Rearranged, check_partition, nuclear_norm, shrink
from lowrank_unroll.operators import LinearOperator
from lowrank_unroll.prox import Matricization

ProximableFunctional: Any = import_extra(
    "mrpro.operators.Functional", "mrpro", "lowrank_unroll.interop.mrpro"
).ProximableFunctional


class TimeFirst(Rearranged):
    """Matrices of a series of mrpro, (..., time, coil, z, y, x), in which a matricization finds (..., time, y, x).

    Args:
        matricization: such as ``Casorati()`` or ``Blocks(8)``, of each coil and slice.
    """

    def rearrange(self, image: Tensor) -> Tensor:
        """Return the series (..., coil, z, time, y, x)."""
        return image.movedim(-5, -3)

    def restore(self, image: Tensor) -> Tensor:
        """Return the series (..., time, coil, z, y, x)."""
        return image.movedim(-3, -5)


class NuclearNorm(ProximableFunctional):
    """The sum of the nuclear norms of an image's matrices, for mrpro's ``pgd`` and ``pdhg``.

    Args:
        matricization: the matrices: ``Frames()``, each image (y, x) by itself; ``TimeFirst(Casorati())`` or
            ``TimeFirst(Blocks(8))`` of a series (..., time, coil, z, y, x).

    Raises:
        ValueError: if the matrices share pixels.
    """

    def __init__(self, matricization: Matricization = FRAMES) -> None:
        super().__init__()
        check_partition(matricization)
        self.matricization = matricization

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """Return the nuclear norm, a scalar."""
        return (nuclear_norm(x, self.matricization).sum(),)

    def prox(self, x: Tensor, sigma: Tensor | float = 1.0) -> tuple[Tensor]:
        """Shrink the singular values by sigma."""
        return (shrink(x, sigma, self.matricization),)


class MrproOperator(LinearOperator):
    """A linear operator of mrpro.

    Args:
        operator: a ``mrpro.operators.LinearOperator``, such as ``FastFourierOp``, ``FourierOp`` or ``SensitivityOp``.
    """

    def __init__(self, operator: Any) -> None:
        self.operator = operator

    def forward(self, image: Tensor) -> Tensor:
        """Return A x."""
        (measurement,) = self.operator(image)
        return measurement  # type: ignore[no-any-return]

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return A^H y."""
        (image,) = self.operator.adjoint(measurement)
        return image  # type: ignore[no-any-return]
