"""Sampling of some of the values of an image or of k-space."""

from torch import Tensor

from lowrank_unroll.operators.linear_operator import LinearOperator


class Mask(LinearOperator):
    """Keep the sampled values and set the others to zero: A x = mask o x.

    Args:
        mask: True where a value is measured, boolean, any shape that broadcasts with the image.
    """

    partial_isometry = True

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def forward(self, image: Tensor) -> Tensor:
        """Set the unmeasured values of an image, any dtype, to zero."""
        return image * self.mask

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return the zero-filled image; a mask is its own adjoint."""
        return measurement * self.mask

    def normal(self, image: Tensor) -> Tensor:
        """Set the unmeasured values to zero, once."""
        return self.forward(image)
