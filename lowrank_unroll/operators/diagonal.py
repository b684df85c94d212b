"""Multiplication by numbers."""

from torch import Tensor

from lowrank_unroll.operators.linear_operator import LinearOperator
from lowrank_unroll.operators.shapes import check_fits, check_tensor


class Diagonal(LinearOperator):
    """Multiply by numbers: A x = d o x, such as the square roots of density weights.

    Args:
        values: d, real or complex, any shape that broadcasts to the image's.

    Raises:
        ValueError: if an image is of a shape that the values do not fit.
        TypeError: if the values are a NumPy array.

    >>> A = Diagonal(torch.tensor([0.5, 2j]))
    >>> A(torch.tensor([2.0, 3.0]))
    tensor([1.+0.j, 0.+6.j])
    """

    def __init__(self, values: Tensor) -> None:
        check_tensor(values=values)
        self.values = values

    def forward(self, image: Tensor) -> Tensor:
        """Return d o x."""
        check_fits(image.shape, values=self.values)
        return image * self.values

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return conj(d) o y."""
        check_fits(measurement.shape, values=self.values)
        return measurement * self.values.conj()
