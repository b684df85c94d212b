"""What the receive coils see of an image."""

from torch import Tensor

from lowrank_unroll.operators.fitting import check_dims, check_fits
from lowrank_unroll.operators.linear_operator import LinearOperator


class CoilSensitivity(LinearOperator):
    """Weight a series of images by the sensitivity of each coil; the adjoint combines the coils' images.

    Args:
        sensitivities: C, (batch, coil, 1, height, width), complex. With sum over coils ``|C|^2 <= 1`` the operator's
            norm is at most 1, as step sizes of the networks expect.

    Raises:
        ValueError: if the sensitivities are of another shape, or do not fit an image or a measurement.
    """

    def __init__(self, sensitivities: Tensor) -> None:
        check_dims("sensitivities", sensitivities, "batch", "coil", "1", "height", "width")
        self.sensitivities = sensitivities

    def forward(self, image: Tensor) -> Tensor:
        """Images of every coil, (batch, coil, time, height, width), from a series (batch, time, height, width)."""
        check_dims("the image", image, "batch", "time", "height", "width")
        check_fits((len(image), self.sensitivities.shape[1], *image.shape[1:]), sensitivities=self.sensitivities)
        return self.sensitivities * image[:, None]

    def adjoint(self, measurement: Tensor) -> Tensor:
        """The series (batch, time, height, width): the sum over coils of conj(C) times the coil's images."""
        check_dims("the measurement", measurement, "batch", "coil", "time", "height", "width")
        _check_coils(measurement, self.sensitivities.shape[1])
        check_fits(measurement.shape, sensitivities=self.sensitivities)
        return (self.sensitivities.conj() * measurement).sum(1)


class SingleCoil(LinearOperator):
    """One coil that sees every pixel alike, or coils that are combined already: only adds the coil dim."""

    partial_isometry = True
    unitary = True

    def forward(self, image: Tensor) -> Tensor:
        """Images of the coil, (batch, 1, time, height, width), from a series (batch, time, height, width)."""
        return image[:, None]

    def adjoint(self, measurement: Tensor) -> Tensor:
        """The series (batch, time, height, width).

        Raises:
            ValueError: if the measurement has several coils.
        """
        _check_coils(measurement, 1)
        return measurement[:, 0]


def coil_operator(sensitivities: Tensor | None) -> LinearOperator:
    """What coils of given sensitivities (batch, coil, 1, height, width) see, or a single coil where there are none."""
    return SingleCoil() if sensitivities is None else CoilSensitivity(sensitivities)


def _check_coils(measurement: Tensor, expected: int) -> None:
    if measurement.shape[1] != expected:
        raise ValueError(
            f"a measurement of shape {tuple(measurement.shape)} has {measurement.shape[1]} coils in its second dim, "
            f"but the sensitivities are those of {expected}"
        )
