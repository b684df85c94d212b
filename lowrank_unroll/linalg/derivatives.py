"""First and second derivatives of spectral functions, as pure functions of tensors.

A spectral function maps A = U S V^H to Y = U f(S) V^H. All matrices here are tall or square, (..., m, n) with m >= n.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lowrank_unroll.linalg.shrinkage import Shrinkage, pairs


class Point(NamedTuple):
    """The matrix at which to differentiate: A (..., m, n), with its factors U (..., m, n), S (..., n), Vh (..., n, n).

    U diag(S) is A V, also where S are rounding errors and the columns of U not orthonormal.
    """

    A: Tensor
    U: Tensor
    S: Tensor
    Vh: Tensor


class ProjectedDirection(NamedTuple):
    """A direction E, (..., m, n), in the singular bases: E V (..., m, n) and U^H E V (..., n, n)."""

    EV: Tensor
    UhEV: Tensor


class LoewnerMatrix(NamedTuple):
    """The divided differences of f at the singular values, (..., n, n), beside the values of f, (..., n)."""

    f: Tensor
    differences: Tensor


def loewner_matrix(shrinkage: Shrinkage, S: Tensor) -> LoewnerMatrix:
    """Return the Loewner matrix of a shrinkage; differentiable with respect to its parameters."""
    return LoewnerMatrix(shrinkage.values(S), shrinkage.divided_differences(S))


def recompose(point: Point, f: Tensor) -> Tensor:
    """Return U diag(f) V^H."""
    return (point.U * f.unsqueeze(-2)) @ point.Vh


def project(point: Point, E: Tensor) -> ProjectedDirection:
    """Project a direction E, (..., m, n), onto the singular bases."""
    EV = E @ point.Vh.mH
    return ProjectedDirection(EV, point.U.mH @ EV)


def first_derivative(point: Point, loewner: LoewnerMatrix, direction: ProjectedDirection) -> Tensor:
    """Return the derivative of Y in the direction E; as a map of E it is its own adjoint, hence also the gradient.

    Y = A W with W = h(A^H A), h(s^2) = f(s) / s. By the product rule and Daleckii & Krein (1965), with
    X = V^H (A^H E + E^H A) V and K the divided differences of h,

        E W + A W'[A^H E + E^H A] = (E V diag(h) + A V (K o X)) V^H

    which with A V = U S does not divide by small singular values. Where U is orthonormal it equals

        U [C o M_h + B o M_s] V^H + (I - U U^H) E V diag(f/s) V^H

    with M_h and M_s the Hermitian and skew-Hermitian parts of M = U^H E V, C the divided differences of f and
    B_ij = (f_i + f_j) / (s_i + s_j) (Lewis & Sendov, arXiv math/0412227; Candes et al., arXiv 1210.4139).
    """
    _, U, S, Vh = point
    EV, UhEV = direction
    # The product S K S has no unit; relative to the largest singular value its factors neither over- nor underflow.
    relative = S / S[..., :1].clamp(min=torch.finfo(S.dtype).tiny)
    X = relative[..., :, None] * UhEV
    h = _quotients(loewner, S)
    inner = relative[..., :, None] * _hermitian_differences(loewner.differences, h, relative) * (X + X.mH)
    return torch.addcmul(U @ inner, EV, h[..., None, :]) @ Vh


def derivative_by_values(direction: ProjectedDirection) -> Tensor:
    """Return the derivative of Re <E, Y> with respect to each f_i, (..., n): Re diag(U^H E V)."""
    return direction.UhEV.diagonal(dim1=-2, dim2=-1).real


def second_derivative(point: Point, shrinkage: Shrinkage, E: Tensor, F: Tensor) -> Tensor:
    """Return the second derivative of Y in the directions E and F, symmetric in both.

    Y = A W with W = h(A^H A), h(s^2) = f(s) / s, so that by the product rule, X_E = A^H E + E^H A,

        E W'[X_F] + F W'[X_E] + A (W''[X_E, X_F] + W'[E^H F + F^H E])

    and the derivatives of the Hermitian W are its first and second divided differences in the basis V
    (Daleckii & Krein 1965; Bhatia, Matrix Analysis, ch. V).
    """
    _, _, S, Vh = point
    # In units of the largest singular value, whose high powers would over- or underflow; the derivative has 1 / unit.
    unit = S[..., :1].clamp(min=torch.finfo(S.dtype).tiny)
    A = point.A / unit[..., None]
    h = _HermitianFunction(S, unit, shrinkage)

    def rotate(X: Tensor) -> Tensor:
        return Vh @ X @ Vh.mH

    def gram(left: Tensor, right: Tensor) -> Tensor:
        product = left.mH @ right
        return rotate(product + product.mH)

    X_E, X_F = gram(A, E), gram(A, F)
    inner = h.second(X_E, X_F) + h.first(gram(E, F))
    V = Vh.mH
    return (E @ (V @ h.first(X_F)) + F @ (V @ h.first(X_E)) + A @ (V @ inner)) @ Vh / unit[..., None]


class _HermitianFunction:
    """Derivatives of W = h(X) in the eigenbasis of X = A^H A, with h(s^2) = f(s) / s; S and f are in a given unit."""

    def __init__(self, S: Tensor, unit: Tensor, shrinkage: Shrinkage) -> None:
        loewner = loewner_matrix(shrinkage, S)
        self.S = S / unit
        self.slopes = loewner.differences.diagonal(dim1=-2, dim2=-1)
        self.curvatures = shrinkage.second_derivatives(S) * unit
        self.h = _quotients(loewner, S)
        self.differences = _hermitian_differences(loewner.differences, self.h, self.S)

    def first(self, X: Tensor) -> Tensor:
        """Return W'[X]."""
        return self.differences * X

    def second(self, X: Tensor, Z: Tensor) -> Tensor:
        """Return W''[X, Z]_ij = sum over k of h[i, k, j] (X_ik Z_kj + Z_ik X_kj)."""
        products = X[..., :, :, None] * Z[..., None, :, :] + Z[..., :, :, None] * X[..., None, :, :]
        return (self._second_differences() * products).sum(-2)

    def _second_differences(self) -> Tensor:
        """Return h[l_i, l_k, l_j] of the squares l, (..., i, k, j)."""
        squares = self.S.square()
        n = self.S.shape[-1]
        shape = (*squares.shape[:-1], n, n, n)
        indices = torch.arange(n, device=self.S.device)
        triples = torch.stack(torch.meshgrid(indices, indices, indices, indexing="ij"), -1)
        low, middle, high = triples.sort(-1, descending=True).values.unbind(-1)  # S descends
        gap = squares[..., high] - squares[..., low]
        # Closer squares leave fewer correct digits in the quotient than the derivative at the middle has.
        close = gap <= torch.finfo(self.S.dtype).eps ** 0.5 * squares[..., high]
        quotient = (self.differences[..., middle, high] - self.differences[..., low, middle]) / torch.where(
            close, 1, gap
        )
        return torch.where(close, self._half_second_derivatives()[..., middle], quotient).reshape(shape)

    def _half_second_derivatives(self) -> Tensor:
        """Return h''(l) / 2 with l = s^2, where s > 0."""
        third = _ratio(self.curvatures, self.S**3) / 4
        return (third - 0.75 * _ratio(self.slopes - self.h, self.S**4)) / 2


def _quotients(loewner: LoewnerMatrix, S: Tensor) -> Tensor:
    """Return h(s^2) = f(s) / s, and its limit f'(0) at 0."""
    h = loewner.f / S.clamp(min=torch.finfo(S.dtype).tiny)
    return torch.where(S > 0, h, loewner.differences.diagonal(dim1=-2, dim2=-1))


def _hermitian_differences(differences: Tensor, h: Tensor, S: Tensor) -> Tensor:
    """Return (h_i - h_j) / (s_i^2 - s_j^2) = (C_ij - h_j) / (s_i (s_i + s_j)), dividing by the larger singular value.

    C are the divided differences of f. The result has the inverse square of the unit of S.
    """
    # S descends: of a pair, the later one is the smaller.
    k = S.shape[-1]
    h_i, h_j = pairs(h)
    smaller_h = torch.where(torch.ones(k, k, dtype=torch.bool, device=S.device).triu(), h_j, h_i)
    divisors = torch.maximum(*pairs(S.square())).addcmul(*pairs(S))
    # Two values below this count as zeros, so that nothing overflows.
    least = torch.finfo(S.dtype).tiny / torch.finfo(S.dtype).eps
    return (differences - smaller_h) / divisors.clamp(min=least)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return the quotient, and 0 where the denominator is 0."""
    positive = denominator > 0
    return torch.where(positive, numerator / torch.where(positive, denominator, 1), 0)
