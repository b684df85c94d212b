"""What the receive coils see of an image."""

from torch import Tensor

from lowrank_unroll.operators.linear_operator import LinearOperator


class CoilSensitivity(LinearOperator):
    """Weight a series of images by the sensitivity of each coil; the adjoint combines the coils' images.

    Args:
        sensitivities: C, (batch, coil, 1, height, width), complex. With sum over coils |C|^2 <= 1 the operator's norm
            is at most 1, as step sizes of the networks expect.
    """

    def __init__(self, sensitivities: Tensor) -> None:
        self.sensitivities = sensitivities

    def forward(self, image: Tensor) -> Tensor:
        """Images of every coil, (batch, coil, time, height, width), from a series (batch, time, height, width)."""
        return self.sensitivities * image[:, None]

    def adjoint(self, measurement: Tensor) -> Tensor:
        """The series (batch, time, height, width): the sum over coils of conj(C) times the coil's images."""
        return (self.sensitivities.conj() * measurement).sum(1)


class SingleCoil(LinearOperator):
    """One coil that sees every pixel alike, or coils that are combined already: only adds the coil dim."""

    partial_isometry = True
    unitary = True

    def forward(self, image: Tensor) -> Tensor:
        """Images of the coil, (batch, 1, time, height, width), from a series (batch, time, height, width)."""
        return image[:, None]

    def adjoint(self, measurement: Tensor) -> Tensor:
        """The series (batch, time, height, width)."""
        return measurement[:, 0]
