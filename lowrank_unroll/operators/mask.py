"""Sampling of values of an image or of k-space."""

import torch
from torch import Tensor

from lowrank_unroll.operators.linear_operator import LinearOperator
from lowrank_unroll.operators.shapes import check_fits

SHOWN = 3  # wrong values in an error message


class Mask(LinearOperator):
    """Keep the sampled values and set the others to zero: A x = mask o x.

    Args:
        mask: True where a value is measured, boolean, any shape that broadcasts to the image's; or numbers 0 and 1.

    Raises:
        ValueError: if a value of the mask is neither 0 nor 1, or an image is of a shape that the mask does not fit.
        TypeError: if the mask is complex.

    >>> A = Mask(torch.tensor([True, False, True]))
    >>> A(torch.tensor([5.0, 6.0, 7.0]))
    tensor([5., 0., 7.])
    """

    partial_isometry = True

    def __init__(self, mask: Tensor) -> None:
        self.mask = _boolean(mask)

    def forward(self, image: Tensor) -> Tensor:
        """Set the unmeasured values of an image, any dtype, to zero."""
        check_fits(image.shape, mask=self.mask)
        return image * self.mask

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return the zero-filled image; a mask is its own adjoint."""
        return self.forward(measurement)

    def gram(self, image: Tensor) -> Tensor:
        """Set the unmeasured values to zero: a mask is its own square."""
        return self.forward(image)


def _boolean(mask: Tensor) -> Tensor:
    if mask.dtype == torch.bool:
        return mask
    if mask.is_complex():
        raise TypeError(f"mask is {mask.dtype}, expected booleans, or the numbers 0 and 1")
    if others := mask[(mask != 0) & (mask != 1)][:SHOWN].tolist():
        found = ", ".join(dict.fromkeys(map(str, others)))  # as strings, since NaN differs from itself
        raise ValueError(f"mask holds {found}, expected booleans, or the numbers 0 and 1")
    return mask == 1
