"""Receive coils."""

from torch import Tensor

from lowrank_unroll.operators.linear_operator import LinearOperator
from lowrank_unroll.operators.shapes import check_dims, check_fits


class CoilSensitivity(LinearOperator):
    """Weight a series of images by the sensitivity of each coil; the adjoint combines the coils' images.

    Args:
        sensitivities: C, (batch, coil, 1, height, width), complex. With sum over coils ``|C|^2 <= 1`` the operator's
            norm is at most 1, as step sizes of the networks expect.

    Raises:
        ValueError: if the sensitivities are of another shape, or do not fit an image or a measurement.

    >>> sensitivities = torch.tensor([0.6, 0.8j]).reshape(1, 2, 1, 1, 1).expand(-1, -1, -1, 8, 6)
    >>> A, series = CoilSensitivity(sensitivities), torch.ones(1, 5, 8, 6)
    >>> A(series).shape
    torch.Size([1, 2, 5, 8, 6])
    >>> torch.allclose(A.gram(series).real, series)  # the squared magnitudes add up to 1
    True
    """

    def __init__(self, sensitivities: Tensor) -> None:
        check_dims("sensitivities", sensitivities, "batch", "coil", "1", "height", "width")
        self.sensitivities = sensitivities

    def forward(self, image: Tensor) -> Tensor:
        """Return the coil images (batch, coil, time, height, width) of a series (batch, time, height, width)."""
        check_dims("the image", image, "batch", "time", "height", "width")
        check_fits((len(image), self.sensitivities.shape[1], *image.shape[1:]), sensitivities=self.sensitivities)
        return self.sensitivities * image[:, None]

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return the series (batch, time, height, width): the sum over coils of conj(C) times the coil images."""
        check_dims("the measurement", measurement, "batch", "coil", "time", "height", "width")
        _check_coils(measurement, self.sensitivities.shape[1])
        check_fits(measurement.shape, sensitivities=self.sensitivities)
        return (self.sensitivities.conj() * measurement).sum(1)


class SingleCoil(LinearOperator):
    """Add the coil dim: one coil of uniform sensitivity, or coils that are combined already."""

    partial_isometry = True
    unitary = True

    def forward(self, image: Tensor) -> Tensor:
        """Return the coil images (batch, 1, time, height, width) of a series (batch, time, height, width)."""
        return image[:, None]

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return the series (batch, time, height, width).

        Raises:
            ValueError: if the measurement has several coils.
        """
        _check_coils(measurement, 1)
        return measurement[:, 0]


def coil_operator(sensitivities: Tensor | None) -> LinearOperator:
    """Return the operator of coils with sensitivities (batch, coil, 1, height, width); None for a single coil."""
    return SingleCoil() if sensitivities is None else CoilSensitivity(sensitivities)


def _check_coils(measurement: Tensor, expected: int) -> None:
    if measurement.shape[1] != expected:
        raise ValueError(
            f"a measurement of shape {tuple(measurement.shape)} has {measurement.shape[1]} coils in its second dim, "
            f"but the sensitivities are those of {expected}"
        )
