"""Linear physics of deepinv as our operators, and our operators as its physics."""

from typing import Any

from torch import Tensor

from lowrank_unroll.interop.deepinv.library import deepinv
from lowrank_unroll.networks.layers.convolutions import from_channels, to_channels
from lowrank_unroll.operators import LinearOperator


class PhysicsOperator(LinearOperator):
    """A linear physics of deepinv: its ``A`` and ``A_adjoint``, without its noise.

    Most of our methods take steps that descend for ||A|| <= 1. Where the norm is larger, as it may be for CT, scale
    operator and measurement: ``c = 1 / A.norm(x)``; ``network(c * y, c * A)``.

    Args:
        physics: a ``deepinv.physics.LinearPhysics``, of real images, or of complex ones if it takes them.

    Raises:
        TypeError: if the physics has no adjoint.

    >>> A = PhysicsOperator(deepinv.physics.Inpainting((1, 4, 4), mask=0.5))
    >>> A.check_adjoint(torch.zeros(2, 1, 4, 4))
    """

    def __init__(self, physics: Any) -> None:
        if not hasattr(physics, "A_adjoint"):
            raise TypeError(f"{type(physics).__name__} has no A_adjoint, expected a deepinv.physics.LinearPhysics")
        self.physics = physics

    def forward(self, image: Tensor) -> Tensor:
        """Return A x, without noise."""
        return self.physics.A(image)  # type: ignore[no-any-return]

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return A^H y."""
        return self.physics.A_adjoint(measurement)  # type: ignore[no-any-return]


class ComplexPhysicsOperator(PhysicsOperator):
    """A physics of real and imaginary channels, such as deepinv's MRI, as an operator of complex numbers.

    deepinv's (batch, 2, ...) is (batch, ...) here, for images and measurements: its ``DynamicMRI`` measures a series
    (batch, time, height, width). :class:`ComplexNetworkReconstructor` converts both.

    Args:
        physics: a ``deepinv.physics.LinearPhysics``, linear also over the complex numbers.

    >>> A = ComplexPhysicsOperator(deepinv.physics.DynamicMRI(img_size=(2, 5, 8, 8)))
    >>> A(torch.ones(1, 5, 8, 8, dtype=torch.complex64)).shape
    torch.Size([1, 5, 8, 8])
    """

    def forward(self, image: Tensor) -> Tensor:
        """Return A x of a complex image (batch, ...)."""
        return from_channels(super().forward(to_channels(image)))

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return A^H y of a complex measurement (batch, ...)."""
        return from_channels(super().adjoint(to_channels(measurement)))


class OperatorPhysics(deepinv.physics.LinearPhysics):
    """An operator of ours as a physics: deepinv's algorithms, losses and models run on it.

    Args:
        operator: A.
        kwargs: of ``LinearPhysics``, such as ``noise_model``.
    """

    def __init__(self, operator: LinearOperator, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.operator = operator

    def A(self, x: Tensor, **kwargs: Any) -> Tensor:  # noqa: N802  deepinv's name
        """Return A x."""
        return self.operator(x)

    def A_adjoint(self, y: Tensor, **kwargs: Any) -> Tensor:  # noqa: N802
        """Return A^H y."""
        return self.operator.adjoint(y)
