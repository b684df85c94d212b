"""The forward model of denoising."""

from torch import Tensor

from lowrank_unroll.operators.linear_operator import LinearOperator


class Identity(LinearOperator):
    """Measure the image itself: A x = x, of any shape and dtype.

    >>> A = Identity()
    >>> A(torch.tensor([1.0, 2.0]))
    tensor([1., 2.])
    """

    partial_isometry = True
    unitary = True

    def forward(self, image: Tensor) -> Tensor:
        """Return the image."""
        return image

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return the measurement; the identity is its own adjoint."""
        return measurement
