"""First and second derivatives of spectral functions, as pure functions of tensors.

A spectral function maps A = U S V^H to Y = U f(S) V^H. All matrices here are tall or square, (..., m, n) with m >= n.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from lowrank_unroll.linalg.shrinkage import Shrinkage


class Point(NamedTuple):
    """The matrix at which to differentiate: A (..., m, n), and its U (..., m, n), S (..., n), Vh (..., n, n).

    U is None where S and V come from the Gram matrix A^H A: then S and Vh are in double precision, A V stands for U S,
    and f(s) / s takes the place of f.
    """

    A: Tensor
    U: Tensor | None
    S: Tensor
    Vh: Tensor


class Table(NamedTuple):
    """f at the singular values, (..., n), and its divided differences, (..., n, n)."""

    f: Tensor
    differences: Tensor


def table(shrinkage: Shrinkage, S: Tensor) -> Table:
    """Tabulate a shrinkage; differentiable with respect to its parameters."""
    return Table(shrinkage.values(S), shrinkage.divided_differences(S))


def spectral(point: Point, f: Tensor) -> Tensor:
    """U diag(f) V^H."""
    if point.U is None:
        return point.A @ _hermitian(point.Vh, _ratio(f, point.S)).to(point.A.dtype)
    return (point.U * f[..., None, :]) @ point.Vh


def coordinates(point: Point, E: Tensor) -> Tensor:
    """M = U^H E V, the direction E in the singular bases."""
    if point.U is None:
        double = point.Vh.dtype
        B = point.Vh @ (point.A.to(double).mH @ E.to(double)) @ point.Vh.mH
        return B * _ratio(torch.ones_like(point.S), point.S)[..., :, None]
    return (point.U.mH @ E) @ point.Vh.mH


def first_derivative(point: Point, tabulated: Table, E: Tensor, M: Tensor) -> Tensor:
    """The derivative of Y in the direction E; as a map of E it is its own adjoint, hence also the gradient.

    With M = U^H E V, M_h and M_s its Hermitian and skew-Hermitian parts, C the divided differences of f and
    D_ij = (f_i + f_j) / (s_i + s_j):

        U [C o M_h + D o M_s] V^H + (I - U U^H) E V diag(f/s) V^H

    Source: Lewis & Sendov, arXiv math/0412227; Candes, Sing-Long & Trzasko, arXiv 1210.4139. Without U it is the
    derivative of A W, W = h(A^H A) and h(s^2) = f(s) / s, which is E W + A W'[A^H E + E^H A].
    """
    A, U, S, Vh = point
    f, differences = tabulated
    if U is None:
        B = S[..., :, None] * M
        inner = _hermitian_differences(tabulated, S) * (B + B.mH)
        return E @ _hermitian(Vh, _ratio(f, S)).to(A.dtype) + A @ (Vh.mH @ inner @ Vh).to(A.dtype)
    sums = _share(f[..., :, None] + f[..., None, :], S[..., :, None] + S[..., None, :])
    # C o M_h + D o M_s with fewer intermediate matrices.
    core = torch.add(sums * M, (differences - sums) * (M + M.mH), alpha=0.5)
    if U.shape[-2] == U.shape[-1]:
        return U @ core @ Vh
    # E V diag(f/s) V^H as one product of E with a small matrix.
    scale = _share(f, S)
    return U @ ((core - M * scale[..., None, :]) @ Vh) + E @ _hermitian(Vh, scale)


def second_derivative(point: Point, shrinkage: Shrinkage, E: Tensor, F: Tensor) -> Tensor:
    """The second derivative of Y in the directions E and F, symmetric in both.

    Y = A W with W = h(A^H A), h(s^2) = f(s) / s, so that by the product rule, X_E = A^H E + E^H A,

        E W'[X_F] + F W'[X_E] + A (W''[X_E, X_F] + W'[E^H F + F^H E])

    and the derivatives of the Hermitian W are its first and second divided differences in the basis V
    (Daleckii & Krein 1965; Bhatia, Matrix Analysis, ch. V).
    """
    A, _, S, Vh = point
    h = _HermitianFunction(S, shrinkage)

    def rotate(X: Tensor) -> Tensor:
        return Vh @ X @ Vh.mH

    def gram(left: Tensor, right: Tensor) -> Tensor:
        product = left.mH @ right
        return rotate(product + product.mH)

    X_E, X_F = gram(A, E), gram(A, F)
    inner = h.second(X_E, X_F) + h.first(gram(E, F))
    V = Vh.mH
    return (E @ (V @ h.first(X_F)) + F @ (V @ h.first(X_E)) + A @ (V @ inner)) @ Vh


class _HermitianFunction:
    """Derivatives of W = h(X) in the eigenbasis of X = A^H A, with h(s^2) = f(s) / s."""

    def __init__(self, S: Tensor, shrinkage: Shrinkage) -> None:
        self.S = S
        tabulated = table(shrinkage, S)
        self.slopes = tabulated.differences.diagonal(dim1=-2, dim2=-1)
        self.curvatures = shrinkage.second_derivatives(S)
        self.h = _quotients(tabulated, S)
        self.differences = _hermitian_differences(tabulated, S)

    def first(self, X: Tensor) -> Tensor:
        """W'[X]."""
        return self.differences * X

    def second(self, X: Tensor, Z: Tensor) -> Tensor:
        """W''[X, Z]_ij = sum over k of h[i, k, j] (X_ik Z_kj + Z_ik X_kj)."""
        products = X[..., :, :, None] * Z[..., None, :, :] + Z[..., :, :, None] * X[..., None, :, :]
        return (self._second_differences() * products).sum(-2)

    def _second_differences(self) -> Tensor:
        """h[l_i, l_k, l_j] of the squares l, (..., i, k, j)."""
        squares = self.S.square()
        n = self.S.shape[-1]
        shape = (*squares.shape[:-1], n, n, n)
        indices = torch.arange(n, device=self.S.device)
        triples = torch.stack(torch.meshgrid(indices, indices, indices, indexing="ij"), -1)
        low, middle, high = triples.sort(-1, descending=True).values.unbind(-1)  # S descends
        gap = squares[..., high] - squares[..., low]
        tied = gap <= torch.finfo(self.S.dtype).eps ** 0.5 * squares[..., high]
        quotient = (self.differences[..., middle, high] - self.differences[..., low, middle]) / torch.where(
            tied, 1, gap
        )
        return torch.where(tied, self._half_second_derivatives()[..., middle], quotient).reshape(shape)

    def _half_second_derivatives(self) -> Tensor:
        """h''(l) / 2 with l = s^2, where s > 0."""
        third = _ratio(self.curvatures, self.S**3) / 4
        return (third - 0.75 * _ratio(self.slopes - self.h, self.S**4)) / 2


def _hermitian(Vh: Tensor, values: Tensor) -> Tensor:
    """V diag(values) V^H."""
    return (Vh.mH * values[..., None, :]) @ Vh


def _quotients(tabulated: Table, S: Tensor) -> Tensor:
    """h(s^2) = f(s) / s, and its limit f'(0) at 0."""
    return torch.where(S > 0, _ratio(tabulated.f, S), tabulated.differences.diagonal(dim1=-2, dim2=-1))


def _hermitian_differences(tabulated: Table, S: Tensor) -> Tensor:
    """(h_i - h_j) / (s_i^2 - s_j^2) = (C_ij - h_j) / (s_i (s_i + s_j)), dividing by the larger singular value."""
    h = _quotients(tabulated, S)
    s_i, s_j = S[..., :, None], S[..., None, :]
    smaller_h = torch.where(s_i >= s_j, h[..., None, :], h[..., :, None])
    return _ratio(tabulated.differences - smaller_h, torch.maximum(s_i, s_j) * (s_i + s_j))


def _share(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, where the numerator is 0 if the denominator is."""
    return numerator / denominator.clamp(min=torch.finfo(denominator.dtype).tiny)


def _ratio(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, and 0 where the denominator is 0."""
    positive = denominator > 0
    return torch.where(positive, numerator / torch.where(positive, denominator, 1), 0)
