"""Receive coils whose sensitivities are sums of few Fourier terms."""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from datamodules.dynamic_mri.simulation import coil_sensitivities

PERIOD = 2  # of the terms, in fields of view, so that sensitivities at opposite borders may differ
ORDER = 2  # highest multiple of 1 / PERIOD in each direction
GRID = 64  # pixels of a side that the terms are fitted at
RIDGE = 1e-3  # penalty of the coefficients, relative to the mean diagonal of the normal equations


class FourierCoils(NamedTuple):
    """Sensitivities sum_m c_m exp(2 pi i f_m r) at r in fields of view, of which 0 is the pixel n // 2 of n.

    Attributes:
        frequencies: f, (term, 2), float64, cycles per field of view.
        coefficients: c, (coil, term), complex128.
    """

    frequencies: Tensor
    coefficients: Tensor

    @classmethod
    def draw(cls, coils: int, generator: torch.Generator) -> Self:
        """Fit the terms to simulated sensitivities, see ``coil_sensitivities``; they deviate by 2 to 4 %.

        The largest root sum of squares is 1.

        Args:
            coils: their number; one has sensitivity 1.
            generator: the same state gives the same coils.
        """
        if coils == 1:
            return cls(*UNIFORM)
        multiples = torch.arange(-ORDER, ORDER + 1, dtype=torch.float64) / PERIOD
        frequencies = torch.cartesian_prod(multiples, multiples)
        terms = _terms(frequencies, (GRID, GRID))
        values = coil_sensitivities(coils, GRID, GRID, generator).flatten(1).T.to(torch.complex128)
        penalty = RIDGE * len(terms) * torch.eye(len(frequencies))
        coefficients = torch.linalg.solve(terms.mH @ terms + penalty, terms.mH @ values)
        largest = (terms @ coefficients).abs().square().sum(1).max().sqrt()
        return cls(frequencies, coefficients.T / largest)

    def sensitivities(self, shape: tuple[int, int]) -> Tensor:
        """Return the sensitivities at the pixels of images of a shape, (coil, 1, height, width), complex64."""
        values = self.coefficients @ _terms(self.frequencies, shape).T
        return values.reshape(-1, 1, *shape).to(torch.complex64)


UNIFORM = FourierCoils(torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 1, dtype=torch.complex128))


def unit_phase(cycles: Tensor) -> Tensor:
    """Return exp(2 pi i cycles)."""
    return torch.polar(torch.ones_like(cycles), 2 * math.pi * cycles)


def _terms(frequencies: Tensor, shape: tuple[int, int]) -> Tensor:
    """Return the terms at the pixels, (pixel, term)."""
    sides = [(torch.arange(side, dtype=torch.float64) - side // 2) / side for side in shape]
    return unit_phase(torch.cartesian_prod(*sides) @ frequencies.T)
