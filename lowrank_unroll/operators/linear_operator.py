"""The interface of a linear forward model, and what can be made of two."""

from abc import ABC, abstractmethod

from torch import Tensor

from lowrank_unroll.linalg import exact


class LinearOperator(ABC):
    """A linear map A from images to measurements, with its adjoint A^H.

    ``A.H`` is the adjoint as an operator, ``A @ B`` applies B first, ``A.normal(x)`` is A^H A x.

    A subclass says whether A is a partial isometry (A A^H A = A: a mask, a unitary transform, a mask after one), since
    A^H is then also the pseudoinverse of A and data consistency needs no linear solver, and whether it is unitary
    (A A^H = I and A^H A = I).

    What a subclass defines of ``forward``, ``adjoint`` and ``normal`` is exact under automatic mixed precision.
    """

    partial_isometry: bool = False
    unitary: bool = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # Data consistency in half precision would forget digits of the measurement.
        for name in {"forward", "adjoint", "normal"} & cls.__dict__.keys():
            setattr(cls, name, exact(cls.__dict__[name]))

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """A x."""

    @abstractmethod
    def adjoint(self, measurement: Tensor) -> Tensor:
        """A^H y."""

    def normal(self, image: Tensor) -> Tensor:
        """A^H A x."""
        return self.adjoint(self.forward(image))

    def equivalent(self, measurement: Tensor) -> tuple[Tensor, "LinearOperator"]:
        """A measurement z and an operator B of the same least squares problem that cost less; y and A by default.

        B^H B = A^H A and B^H z = A^H y. An algorithm that applies the operator again and again starts by asking for it.
        """
        return measurement, self

    @property
    def H(self) -> "LinearOperator":  # noqa: N802  as in formulas
        """The adjoint A^H as an operator."""
        return Adjoint(self)

    def __call__(self, image: Tensor) -> Tensor:
        """A x."""
        return self.forward(image)

    def __matmul__(self, inner: "LinearOperator") -> "LinearOperator":
        """The composition A B, which applies B first."""
        return Composition(self, inner)


class Adjoint(LinearOperator):
    """A^H of an operator A."""

    def __init__(self, operator: LinearOperator) -> None:
        self.operator = operator
        self.partial_isometry = operator.partial_isometry
        self.unitary = operator.unitary

    def forward(self, image: Tensor) -> Tensor:
        """A^H x."""
        return self.operator.adjoint(image)

    def adjoint(self, measurement: Tensor) -> Tensor:
        """A y."""
        return self.operator.forward(measurement)

    @property
    def H(self) -> LinearOperator:  # noqa: N802
        """The operator itself."""
        return self.operator


class Composition(LinearOperator):
    """A B of two operators."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        self.outer = outer
        self.inner = inner
        self.unitary = outer.unitary and inner.unitary
        self.partial_isometry = (outer.partial_isometry and inner.unitary) or (outer.unitary and inner.partial_isometry)

    def forward(self, image: Tensor) -> Tensor:
        """A B x."""
        return self.outer.forward(self.inner.forward(image))

    def adjoint(self, measurement: Tensor) -> Tensor:
        """B^H A^H y."""
        return self.inner.adjoint(self.outer.adjoint(measurement))

    def normal(self, image: Tensor) -> Tensor:
        """B^H A^H A B x."""
        return self.inner.adjoint(self.outer.normal(self.inner.forward(image)))

    def equivalent(self, measurement: Tensor) -> tuple[Tensor, LinearOperator]:
        """The equivalent of the outer operator, after the same inner one."""
        measurement, outer = self.outer.equivalent(measurement)
        return measurement, outer @ self.inner
