"""Kaiser-Bessel interpolation between an oversampled Cartesian grid of k-space and a trajectory, as a sparse matrix."""

import math
from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.polynomial import Chebyshev, Polynomial
from numpy.typing import NDArray
from torch import Tensor

from lowrank_unroll.operators.linear_operator import LinearOperator
from lowrank_unroll.operators.sparse_matrix import SparseMatrix, multiply

# Aliases of a kernel's transform, on either side, that its error is summed over: the others are below the rounding.
ALIASES = 8
# Width, beyond which double precision gains nothing.
WIDEST = 16


def grid_size(side: int, oversampling: float) -> int:
    """Return the even size, of small prime factors, of an oversampled grid for a side of the image."""
    from scipy.fft import next_fast_len  # noqa: PLC0415  slow to import

    return 2 * int(next_fast_len(math.ceil(side * oversampling / 2)))


class KaiserBessel(NamedTuple):
    """The Kaiser-Bessel kernel on a grid of unit spacing, with integral 1.

    Its shape parameter beta depends on the width and on the oversampling: Beatty et al., "Rapid gridding reconstruction
    with a minimal oversampling ratio", IEEE Transactions on Medical Imaging 24, 2005, equations 4 and 5.

    Attributes:
        width: number of grid points, per axis, that a sample is interpolated from.
        oversampling: size of the grid over that of the image.
    """

    width: int
    oversampling: float

    @property
    def beta(self) -> float:
        """The shape parameter."""
        ratio = self.width * (self.oversampling - 0.5) / self.oversampling
        return math.pi * math.sqrt(max(ratio**2 - 0.8, 0))

    def weights(self, distance: Tensor) -> Tensor:
        """Return the kernel at distances of at most half the width.

        It is a polynomial of the squared distance, whose error is far below the aliasing; I0 takes five times as long.
        """

        def kernel(position: NDArray[np.float64]) -> NDArray[np.float64]:
            values: NDArray[np.float64] = np.i0(self.beta * np.sqrt((1 + position) / 2))
            return values * self.beta / (self.width * math.sinh(self.beta))

        coefficients = Chebyshev.interpolate(kernel, self.width + 5).convert(kind=Polynomial).coef
        position = 1 - 2 * (2 * distance / self.width).square()
        weights = torch.full_like(position, coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            weights.mul_(position).add_(coefficient)
        return weights

    def transform(self, position: Tensor) -> Tensor:
        """Return the Fourier transform of the kernel at positions in units of the grid's field of view."""
        square = (math.pi * self.width * position) ** 2 - self.beta**2
        root = square.abs().sqrt()
        values = torch.where(square > 0, torch.sinc(root / math.pi), root.sinh() / root.clamp(min=1e-9))
        return values * (self.beta / math.sinh(self.beta))

    def error(self) -> float:
        """Return the root mean square of the aliasing of an image's axis, relative to the image."""
        pixels = torch.linspace(-0.5, 0.5, 129, dtype=torch.float64) / self.oversampling
        aliases = self.transform(pixels[:, None] + torch.arange(-ALIASES, ALIASES + 1))
        kept = aliases[:, ALIASES].clone()
        aliases[:, ALIASES] = 0
        return float((aliases.square().sum(1) / kept.square()).mean().sqrt())


def narrowest_kernel(oversampling: float, accuracy: float) -> KaiserBessel:
    """Return the narrowest kernel whose error is at most the accuracy, relative, per axis."""
    kernels = [KaiserBessel(width, oversampling) for width in range(3, WIDEST + 1)]
    return next((kernel for kernel in kernels if kernel.error() <= accuracy), kernels[-1])


class Interpolation(LinearOperator):
    """The interpolation from the FFT of centered images to samples: a sparse matrix for all frames at once.

    The matrix is block diagonal over frames. The origin of the image is at index G // 2 of a side of G points, so that
    neighbours in its FFT have opposite signs; the matrix takes the sign out. The grid is periodic.

    Args:
        points: (frames, samples, 2), float64, in units of the grid's spacing.
        grid: even numbers of grid points, (height, width).
        kernels: one for each axis.
        dtype: of the matrix, real.
    """

    def __init__(
        self, points: Tensor, grid: Sequence[int], kernels: Sequence[KaiserBessel], dtype: torch.dtype
    ) -> None:
        self.shape = len(points), points.shape[1], math.prod(grid)
        frames, samples, grid_points = self.shape
        rows, columns = (_axis(points[..., axis], grid[axis], kernels[axis], dtype) for axis in (0, 1))
        first = torch.arange(frames, dtype=torch.int32, device=points.device)[:, None, None, None] * grid_points
        index = first + rows.indices[..., :, None] * grid[1] + columns.indices[..., None, :]
        weight = rows.weights[..., :, None] * columns.weights[..., None, :]
        starts = torch.arange(frames * samples + 1, dtype=torch.int32, device=points.device) * (
            index.shape[-1] * index.shape[-2]
        )
        shape = (frames * samples, frames * grid_points)
        self.matrix = SparseMatrix(starts, index.flatten(), weight.flatten(), shape)
        self.transposed = self.matrix.transpose()

    def forward(self, image: Tensor) -> Tensor:
        """Return samples (frames, samples, ...) of grids (frames, grid points, ...), real or complex."""
        samples = multiply(self.matrix, self.transposed, image.flatten(0, 1))
        return samples.reshape(*self.shape[:2], *image.shape[2:])

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return grids (frames, grid points, ...) of samples (frames, samples, ...), real or complex."""
        grids = multiply(self.transposed, self.matrix, measurement.flatten(0, 1))
        return grids.reshape(self.shape[0], self.shape[2], *measurement.shape[2:])

    def to(self, device: torch.device | str | int) -> Self:
        """Return the interpolation with its matrices on a device."""
        moved = super().to(device)
        moved.matrix, moved.transposed = self.matrix.to(device), self.transposed.to(device)
        return moved


class _Axis(NamedTuple):
    """The grid points that each sample is interpolated from on an axis, (frames, samples, width)."""

    indices: Tensor
    weights: Tensor


def _axis(points: Tensor, size: int, kernel: KaiserBessel, dtype: torch.dtype) -> _Axis:
    first = torch.ceil(points - kernel.width / 2)[..., None]
    offsets = torch.arange(kernel.width, device=points.device)
    index = (first + offsets).int()
    weight = kernel.weights((points[..., None] - first - offsets).to(dtype))
    return _Axis(index.remainder(size), weight * (1 - 2 * index.remainder(2)))
