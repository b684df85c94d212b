"""The interface of a linear forward model, and operators made of others: adjoint, product, sum and multiple."""

import warnings
from abc import ABC, abstractmethod
from copy import copy
from typing import Self

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least
from lowrank_unroll.linalg import full_precision

RENAMED = {"normal": "gram", "equivalent": "without_shifts"}  # methods, until version 0.3
ROUNDINGS = 100  # that <A x, y> and <x, A^H y> may differ by


class LinearOperator(ABC):
    """A linear map A from images to measurements, with its adjoint A^H.

    A subclass defines ``forward`` and ``adjoint``, and :meth:`check_adjoint` tests them. Operators combine as in
    formulas: ``A.H`` is the adjoint, ``A @ B`` applies B first, ``A + B`` is the sum and ``2 * A`` a multiple.

    Under automatic mixed precision ``forward``, ``adjoint`` and ``gram`` of a subclass compute in full precision.

    Attributes:
        partial_isometry: A A^H A = A, as for a mask, a unitary transform, or a mask after one. A^H is then the
            pseudoinverse of A, and data consistency needs no linear solver.
        unitary: A A^H = I and A^H A = I.

    >>> class Mirror(LinearOperator):
    ...     unitary = partial_isometry = True
    ...
    ...     def forward(self, image):
    ...         return image.flip(-1)
    ...
    ...     def adjoint(self, measurement):
    ...         return measurement.flip(-1)
    >>> x = torch.tensor([1.0, 2.0, 3.0])
    >>> Mirror().check_adjoint(x)
    >>> A = 2 * Mirror() + Mirror().H
    >>> A(x), A.norm(x)
    (tensor([9., 6., 3.]), tensor(3.))
    """

    partial_isometry: bool = False
    unitary: bool = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        for old, new in RENAMED.items():
            if old in cls.__dict__:
                warnings.warn(f"{cls.__name__}.{old} is now called {new}", DeprecationWarning, stacklevel=2)
                setattr(cls, new, cls.__dict__[old])
        # In half precision, data consistency would round the measurement.
        for name in {"forward", "adjoint", "gram"} & cls.__dict__.keys():
            setattr(cls, name, full_precision(cls.__dict__[name]))

    @abstractmethod
    def forward(self, image: Tensor) -> Tensor:
        """Return A x."""

    @abstractmethod
    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return A^H y."""

    def gram(self, image: Tensor) -> Tensor:
        """Return A^H A x; a subclass may know a faster way."""
        return self.adjoint(self.forward(image))

    def without_shifts(self, measurement: Tensor) -> tuple[Tensor, "LinearOperator"]:
        """Return a cheaper measurement z and operator B of the same least squares problem; y and A by default.

        B^H B = A^H A and B^H z = A^H y. Iterative algorithms ask for it once, before the first iteration. Operators of
        k-space take the shifts of the centered Fourier transform out; z need not be k-space.
        """
        return measurement, self

    def to(self, device: torch.device | str | int) -> Self:
        """Return the operator with its tensors, and those of the operators that it is made of, on a device."""
        moved = copy(self)
        vars(moved).update(
            {name: part.to(device) for name, part in vars(self).items() if isinstance(part, Tensor | LinearOperator)}
        )
        return moved

    @torch.no_grad()
    def check_adjoint(self, image: Tensor, tolerance: float | None = None) -> None:
        """Test <A x, y> = <x, A^H y> with random x and y.

        Args:
            image: of a shape, dtype and device that A takes; its values are not used.
            tolerance: of the difference, relative to ||A x|| ||y||; None for 100 times the rounding of A x.

        Raises:
            ValueError: if ``adjoint`` is not the adjoint of ``forward``.
        """
        image = _random_like(image)
        measurement = self(image)
        other = _random_like(measurement)
        forward, adjoint = _inner(measurement, other), _inner(image, self.adjoint(other))
        if tolerance is None:
            tolerance = ROUNDINGS * torch.finfo(measurement.dtype).eps
        scale = torch.linalg.vector_norm(measurement) * torch.linalg.vector_norm(other)
        if not (forward - adjoint).abs() <= tolerance * scale:
            raise ValueError(
                f"{type(self).__name__}.adjoint is not the adjoint of forward: <A x, y> is {forward.item():.6g}, but "
                f"<x, A^H y> is {adjoint.item():.6g}"
            )

    @torch.no_grad()
    def norm(self, image: Tensor, iterations: int = 30) -> Tensor:
        """Estimate the norm ||A||, the largest singular value, from below by power iteration on A^H A.

        Args:
            image: of a shape, dtype and device that A takes; its values are not used.
            iterations: number of iterations.

        Returns:
            Real scalar.

        Raises:
            ValueError: if there is no iteration.
        """
        check_at_least(1, iterations=iterations)
        image = _random_like(image)
        for _ in range(iterations):
            length = torch.linalg.vector_norm(image)
            image = self.gram(image / length.where(length > 0, 1))
        norm: Tensor = torch.linalg.vector_norm(image).sqrt()
        return norm

    @property
    def H(self) -> "LinearOperator":  # noqa: N802  as in formulas
        """The adjoint A^H as an operator."""
        return Adjoint(self)

    def __call__(self, image: Tensor) -> Tensor:
        """Return A x."""
        return self.forward(image)

    def __matmul__(self, inner: "LinearOperator") -> "LinearOperator":
        """Return the composition A B, which applies B first."""
        return Composition(self, inner)

    def __add__(self, other: "LinearOperator") -> "LinearOperator":
        """Return the sum A + B."""
        return Sum(self, other) if isinstance(other, LinearOperator) else NotImplemented

    def __mul__(self, factor: complex) -> "LinearOperator":
        """Return the multiple c A by a number c."""
        return Scaled(factor, self) if isinstance(factor, int | float | complex) else NotImplemented

    def __rmul__(self, factor: complex) -> "LinearOperator":
        """Return the multiple c A by a number c."""
        return self * factor

    def normal(self, image: Tensor) -> Tensor:
        """Return A^H A x; deprecated, now :meth:`gram`."""
        warnings.warn("LinearOperator.normal is now called gram", DeprecationWarning, stacklevel=2)
        return self.gram(image)

    def equivalent(self, measurement: Tensor) -> tuple[Tensor, "LinearOperator"]:
        """Return an equivalent problem; deprecated, now :meth:`without_shifts`."""
        warnings.warn("LinearOperator.equivalent is now called without_shifts", DeprecationWarning, stacklevel=2)
        return self.without_shifts(measurement)


class Adjoint(LinearOperator):
    """The adjoint A^H of an operator A."""

    def __init__(self, operator: LinearOperator) -> None:
        self.operator = operator
        self.partial_isometry = operator.partial_isometry
        self.unitary = operator.unitary

    def forward(self, image: Tensor) -> Tensor:
        """Return A^H x."""
        return self.operator.adjoint(image)

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return A y."""
        return self.operator.forward(measurement)

    @property
    def H(self) -> LinearOperator:  # noqa: N802
        """The operator A itself."""
        return self.operator


class Composition(LinearOperator):
    """The composition A B of two operators."""

    def __init__(self, outer: LinearOperator, inner: LinearOperator) -> None:
        self.outer = outer
        self.inner = inner
        self.unitary = outer.unitary and inner.unitary
        self.partial_isometry = (outer.partial_isometry and inner.unitary) or (outer.unitary and inner.partial_isometry)

    def forward(self, image: Tensor) -> Tensor:
        """Return A B x."""
        return self.outer.forward(self.inner.forward(image))

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return B^H A^H y."""
        return self.inner.adjoint(self.outer.adjoint(measurement))

    def gram(self, image: Tensor) -> Tensor:
        """Return B^H A^H A B x."""
        return self.inner.adjoint(self.outer.gram(self.inner.forward(image)))

    def without_shifts(self, measurement: Tensor) -> tuple[Tensor, LinearOperator]:
        """Return the cheaper problem of the outer operator, and keep the inner one."""
        measurement, outer = self.outer.without_shifts(measurement)
        return measurement, outer @ self.inner


class Sum(LinearOperator):
    """The sum A + B of two operators on the same images.

    Raises:
        ValueError: if A x and B x, or A^H y and B^H y, have different shapes.
    """

    def __init__(self, first: LinearOperator, second: LinearOperator) -> None:
        self.first = first
        self.second = second

    def forward(self, image: Tensor) -> Tensor:
        """Return A x + B x."""
        return _sum(self.first.forward(image), self.second.forward(image))

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return A^H y + B^H y."""
        return _sum(self.first.adjoint(measurement), self.second.adjoint(measurement))


class Scaled(LinearOperator):
    """The multiple c A of an operator by a number."""

    def __init__(self, factor: complex, operator: LinearOperator) -> None:
        self.factor = factor
        self.operator = operator
        self.unitary = operator.unitary and abs(factor) == 1
        self.partial_isometry = operator.partial_isometry and abs(factor) == 1

    def forward(self, image: Tensor) -> Tensor:
        """Return c A x."""
        return self.factor * self.operator.forward(image)

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return conj(c) A^H y."""
        return self.factor.conjugate() * self.operator.adjoint(measurement)

    def gram(self, image: Tensor) -> Tensor:
        """Return abs(c)^2 A^H A x."""
        return abs(self.factor) ** 2 * self.operator.gram(image)

    def without_shifts(self, measurement: Tensor) -> tuple[Tensor, LinearOperator]:
        """Return a multiple of the cheaper problem of A."""
        measurement, operator = self.operator.without_shifts(measurement)
        return measurement, self.factor * operator


def _sum(first: Tensor, second: Tensor) -> Tensor:
    if first.shape != second.shape:
        shapes = f"{tuple(first.shape)} and {tuple(second.shape)}"
        raise ValueError(f"the terms of a sum of operators give {shapes}, expected the same shape")
    return first + second


def _inner(one: Tensor, other: Tensor) -> Tensor:
    return (one.conj() * other).sum()


def _random_like(tensor: Tensor) -> Tensor:
    """Draw normal numbers, the same each time, and leave the global generators alone."""
    generator = torch.Generator(tensor.device).manual_seed(0)
    dtype = torch.promote_types(tensor.dtype, torch.float32)
    return torch.randn(tensor.shape, generator=generator, dtype=dtype, device=tensor.device)
