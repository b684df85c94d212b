"""The interface of a linear forward model."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor


class LinearOperator(ABC):
    """A linear map A from images to measurements, with its adjoint A^H.

    A subclass states whether A is a partial isometry (A A^H A = A: a mask, a unitary transform, a mask after one),
    because A^H is then also the pseudoinverse of A and data consistency needs no linear solver.
    """

    partial_isometry: ClassVar[bool] = False

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """A x."""

    @abstractmethod
    def adjoint(self, measurement: Tensor) -> Tensor:
        """A^H y."""

    def __call__(self, image: Tensor) -> Tensor:
        """A x."""
        return self.forward(image)
