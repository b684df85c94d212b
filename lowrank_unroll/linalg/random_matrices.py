"""Singular values of noise, and their shrinkage, by the theory of large random matrices."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from lowrank_unroll.linalg.shrinkage import NON_NEGATIVE, Range, Shrinkage, pairs, tied_pairs

Shape = tuple[int, int]
Noise = TypeVar("Noise", Tensor, float)


@torch.no_grad()
def centered_spectrum(matrices: Tensor) -> Tensor:
    """Return the singular values of matrices (..., m, n) less the mean of each row, descending, without gradient.

    They are float64, since their squares over- or underflow single precision in extreme units. The smallest one is left
    out where the mean forces it to be zero, so that there are min(m, n - 1), at least one.
    """
    rows, columns = matrices.shape[-2:]
    A = matrices.to(torch.promote_types(matrices.dtype, torch.float64))
    A = A - A.mean(-1, keepdim=True)
    squares: Tensor = torch.linalg.eigvalsh(A @ A.mH if rows < columns else A.mH @ A).flip(-1)
    return safe_sqrt(squares[..., : min(rows, max(1, columns - 1))])


@torch.no_grad()
def noise_variance(S: Tensor, shape: Shape) -> Tensor:
    """Return the variance of the white noise in matrices of low rank, by the Marchenko-Pastur law.

    Squares of singular values of noise lie between (1 - sqrt(b))^2 and (1 + sqrt(b))^2 times n E|n|^2, for m x n
    matrices with b = m / n at most 1. The largest number of the smallest ones that are as close together as that says
    counts as noise (Veraart et al., NeuroImage 142, 2016).

    Args:
        S: singular values, descending, (..., k); without those that are zero because a mean was subtracted.
        shape: rows and columns of the matrices.

    Returns:
        E|n|^2, for complex matrices twice the variance of the real part, (...), float64.

    >>> noise = torch.randn(2, 8, 400, generator=torch.Generator().manual_seed(0))
    >>> noise_variance(torch.linalg.svdvals(noise), (8, 400)).round(decimals=1)
    tensor([1., 1.], dtype=torch.float64)
    """
    longer, count = max(shape), S.shape[-1]
    squares = S.double().square() / longer
    left = torch.arange(count, 0, -1, device=S.device)  # values from the p-th on
    mean = squares.flip(-1).cumsum(-1).flip(-1) / left
    is_noise = squares - squares[..., -1:] <= 4 * (left / longer).sqrt() * mean
    first = is_noise.to(torch.uint8).argmax(-1, keepdim=True)
    return mean.gather(-1, first).squeeze(-1)


def safe_sqrt(squares: Tensor) -> Tensor:
    """Return the square root, whose derivative at 0 is 0 rather than infinity; 0 for what rounding makes negative.

    >>> safe_sqrt(torch.tensor([-1e-9, 0.0, 4.0]))
    tensor([0., 0., 2.])
    """
    positive = squares > 0
    return torch.where(positive, torch.where(positive, squares, 1).sqrt(), 0)


def noise_edge(noise: Noise, shape: Shape) -> Noise:
    """Return the largest singular value of white noise, noise (sqrt(m) + sqrt(n)), with noise the root of E|n|^2.

    >>> noise_edge(0.5, (9, 16))
    3.5
    """
    return noise * (math.sqrt(shape[0]) + math.sqrt(shape[1]))


@dataclass(frozen=True)
class OptimalShrinker(Shrinkage):
    """Shrink singular values for the smallest squared error of large low-rank matrices in white noise of known level.

    f(s) = s sqrt((1 - (1 + r)^2 u^2) (1 - (1 - r)^2 u^2)) with u = noise sqrt(n) / s and r = sqrt(m / n), of m x n
    matrices with m at most n; 0 below the edge of the noise, :func:`noise_edge` (Gavish & Donoho, "Optimal shrinkage of
    singular values", IEEE Trans. Inf. Theory 63, 2017, eq. 7).

    Args:
        noise: root of E|n|^2, of each value of the matrix, non-negative.
        shape: rows and columns of the matrices.

    >>> OptimalShrinker(0.1, (100, 100)).values(torch.tensor([4.0, 2.5, 1.9]))
    tensor([3.4641, 1.5000, 0.0000])
    """

    noise: Tensor | float
    shape: Shape

    ranges: ClassVar[Mapping[str, Range]] = {"noise": NON_NEGATIVE}

    def values(self, S: Tensor) -> Tensor:
        """Shrink values above the edge of the noise."""
        noise, kept = self._noise(S), self._kept(S)
        safe = torch.where(kept, S, 1)
        upper, lower = (torch.where(kept, 1 - (edge * noise / safe).square(), 1) for edge in self._edges())
        return torch.where(kept, safe * (upper * lower).sqrt(), 0)

    def divided_differences(self, S: Tensor) -> Tensor:
        """Return (f^2)[s_i, s_j] / (f_i + f_j) of two kept values, f_i / (s_i - s_j) of one."""
        noise, kept, f = self._noise(S), self._kept(S), self.values(S)
        upper, lower = self._edges()
        (s_i, s_j), (f_i, f_j), (kept_i, kept_j) = pairs(S), pairs(f), pairs(kept)
        u_i, u_j = pairs(noise / torch.where(kept, S, 1))
        # f^2 is a polynomial in s and 1 / s, whose divided difference has no cancellation.
        squares = (s_i + s_j) * (1 - (upper * lower * u_i * u_j).square())
        both = squares / torch.where(kept_i & kept_j, f_i + f_j, 1)
        across = (kept_i != kept_j) & ~tied_pairs(S)
        quotient = (f_i - f_j) / torch.where(across, s_i - s_j, 1)
        neither = (noise == 0).to(S)[..., None]  # without noise f is the identity, whose slope is 1 also at zeros
        return torch.where(kept_i & kept_j, both, torch.where(across, quotient, neither))

    def _kept(self, S: Tensor) -> Tensor:
        return self._edges()[0] * self._noise(S) < S

    def _noise(self, S: Tensor) -> Tensor:
        return self.noise.to(S).unsqueeze(-1) if isinstance(self.noise, Tensor) else S.new_full((1,), self.noise)

    def _edges(self) -> tuple[float, float]:
        """Return the largest and the smallest singular value of noise of unit variance."""
        longer, shorter = math.sqrt(max(self.shape)), math.sqrt(min(self.shape))
        return longer + shorter, longer - shorter
