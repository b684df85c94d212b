"""The sum of several images, as which they are measured."""

from torch import Tensor

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.operators.linear_operator import LinearOperator
from lowrank_unroll.operators.shapes import check_components


class Superposition(LinearOperator):
    """Add the components of an image: A (x_1, ..., x_n) = x_1 + ... + x_n, of norm sqrt(n).

    A measurement of the sum is a composition, such as ``Mask(mask) @ Superposition()``.

    Args:
        components: their number n.

    Raises:
        ValueError: if there is no component, or an image has another number of them.

    >>> A = Superposition()
    >>> A(torch.tensor([[[1.0, 2.0], [10.0, 20.0]]]))
    tensor([[11., 22.]])
    >>> A.adjoint(torch.tensor([[11.0, 22.0]]))
    tensor([[[11., 22.],
             [11., 22.]]])
    """

    def __init__(self, components: int = 2) -> None:
        check_at_least(1, components=components)
        self.components = components

    def forward(self, image: Tensor) -> Tensor:
        """Add the components of an image (batch, component, ...); returns (batch, ...)."""
        check_components(image, self.components)
        return image.sum(1)

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return an image each of whose components is the measurement (batch, ...)."""
        return measurement.unsqueeze(1).expand(-1, self.components, *measurement.shape[1:])
