"""Density compensation: the area of k-space that each sample of a trajectory stands for."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least, check_sides
from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.operators.diagonal import Diagonal
from lowrank_unroll.operators.gridding import Interpolation, KaiserBessel, grid_size
from lowrank_unroll.operators.non_uniform_fourier import NonUniformFourier, check_trajectory
from lowrank_unroll.operators.shapes import check_fits

# Its autocorrelation has width 1 / FOV on this grid: see `density_weights`.
KERNEL = KaiserBessel(width=4, oversampling=1.5)
OVERSAMPLING = 2.4
# The norm is then within 1 %, which no more accurate transform would improve.
LANCZOS_STEPS = 14
ACCURACY = 1e-2


@torch.no_grad()
def density_weights(
    trajectory: Tensor, shape: Sequence[int], iterations: int = 20, mask: Tensor | None = None
) -> Tensor:
    """Return density weights of any trajectory by the iteration of Pipe and Menon.

    w <- w / (C w), where C convolves the samples with a kernel: "Sampling density compensation in MRI: rationale and an
    iterative numerical solution", Magnetic Resonance in Medicine 41, 1999. The kernel has integral 1, and a peak of
    about 1 in units of 1 / FOV: no weight is far above the (1 / FOV)^2 that sampling needs, though samples be sparse.

    Args:
        trajectory: (batch, time, samples, 2), real; cycles per field of view.
        shape: (height, width) of the images.
        iterations: number of iterations.
        mask: False for samples that do not count, and get the weight 0, boolean, (batch, time, samples); None if all
            do. Samples beyond the resolution of the images must not count, since the grid of the kernel is periodic.

    Returns:
        w, (batch, time, samples), in units of (1 / FOV)^2.

    Raises:
        ValueError: if the trajectory is of another shape, a size is below 1, or there is no iteration.
        TypeError: if the trajectory is not real.
    """
    check_trajectory(trajectory)
    check_sides("height, width", shape=shape)
    check_at_least(1, iterations=iterations)
    trajectory = at_least_single(trajectory)
    grid = [grid_size(side, OVERSAMPLING) for side in shape]
    oversampling = trajectory.new_tensor(
        [points / side for points, side in zip(grid, shape, strict=True)], dtype=torch.float64
    )
    kernel = Interpolation(trajectory.flatten(0, 1) * oversampling, grid, (KERNEL, KERNEL), trajectory.dtype)
    counted = torch.ones_like(trajectory[..., 0]) if mask is None else mask.to(trajectory.dtype)
    weights = counted.flatten(0, 1)[..., None]
    for _ in range(iterations):
        density = kernel(kernel.adjoint(weights)) * oversampling.prod().to(weights)
        weights = weights / density.where(weights > 0, 1)
    return weights[..., 0].reshape(trajectory.shape[:-1])


@torch.no_grad()
def radial_weights(trajectory: Tensor, spokes: int) -> Tensor:
    """Return density weights of radial spokes: the area of each sample's sector of a ring.

    The sector of a spoke ends half way to its neighbours. Its width is at most 1 / FOV, as sampling needs: spokes that
    are further apart leave gaps. Those in the center share its disc.

    Args:
        trajectory: (batch, time, spokes * readout, 2), real; cycles per field of view. Spokes are straight lines
            through the center, of evenly spaced samples.
        spokes: number of spokes of a frame.

    Returns:
        w, (batch, time, spokes * readout), in units of (1 / FOV)^2.

    Raises:
        ValueError: if the trajectory is of another shape, or does not have that many spokes of two samples or more.
        TypeError: if the trajectory is not real.
    """
    check_trajectory(trajectory)
    check_at_least(1, spokes=spokes)
    if trajectory.shape[2] % spokes or trajectory.shape[2] < 2 * spokes:
        raise ValueError(f"trajectory is {tuple(trajectory.shape)}, expected {spokes} spokes of two samples or more")
    batch, time, samples, axes = trajectory.shape
    lines = trajectory.reshape(batch, time, spokes, samples // spokes, axes)
    direction = lines[..., -1, :] - lines[..., 0, :]
    spacing = torch.linalg.vector_norm(direction, dim=-1, keepdim=True) / (lines.shape[3] - 1)
    sector = _sectors(torch.atan2(direction[..., 0], direction[..., 1]))[..., None]
    radius = torch.linalg.vector_norm(lines, dim=-1)
    # The integral of |r| over the sample's piece of the spoke; the piece in the center has both signs.
    moment = torch.where(radius > spacing / 2, radius * spacing, radius.square() + spacing.square() / 4)
    return torch.minimum(sector * moment, spacing).flatten(2)


def _sectors(angles: Tensor) -> Tensor:
    """Return the angle that each of the lines (..., lines) through the center stands for; they add up to pi."""
    ordered, order = angles.remainder(math.pi).sort(-1)
    gaps = torch.diff(ordered, append=ordered[..., :1] + math.pi, dim=-1)
    return torch.empty_like(angles).scatter_(-1, order, (gaps + gaps.roll(1, -1)) / 2)


@torch.no_grad()
def unit_norm_weights(weights: Tensor, trajectory: Tensor, shape: Sequence[int]) -> Tensor:
    """Scale density weights w of each batch item so that diag(sqrt w) F has norm 1, F that of the trajectory.

    The norm of F is largest for the densest frame; sensitivities of coils with sum over coils ``|C|^2 <= 1`` do not
    raise it.

    Args:
        weights: w, (batch, time, samples), not negative.
        trajectory: (batch, time, samples, 2), real; cycles per field of view.
        shape: (height, width) of the images.

    Returns:
        (batch, time, samples); the norm is 1 within 1 %.

    Raises:
        ValueError: if the weights or the trajectory are of another shape.
    """
    check_fits(trajectory.shape[:-1], weights=weights)
    operator = Diagonal(weights.sqrt()[:, None]) @ NonUniformFourier(trajectory, shape, ACCURACY)
    generator = torch.Generator(trajectory.device).manual_seed(0)
    size = (len(trajectory), 1, trajectory.shape[1], *shape)
    image = torch.randn(size, generator=generator, dtype=trajectory.dtype, device=trajectory.device)
    return weights / _largest_eigenvalues(operator.gram, image).amax(2)[..., None]


def _largest_eigenvalues(gram: Callable[[Tensor], Tensor], start: Tensor) -> Tensor:
    """Estimate the largest eigenvalue for each image (..., height, width), shape (...), by the Lanczos iteration."""
    vector, previous = start / _norm(start), torch.zeros_like(start)
    diagonal, beside = [], [torch.zeros_like(_norm(start))]
    for _ in range(LANCZOS_STEPS):
        image = gram(vector) - beside[-1] * previous
        diagonal.append((vector.conj() * image).real.sum((-2, -1), keepdim=True))
        image = image - diagonal[-1] * vector
        beside.append(_norm(image))
        vector, previous = image / beside[-1].clamp(min=torch.finfo(start.dtype).tiny), vector
    tridiagonal = torch.diag_embed(torch.cat(diagonal, -1)[..., 0, :])
    tridiagonal += torch.diag_embed(torch.cat(beside[1:-1], -1)[..., 0, :], offset=-1)
    eigenvalues: Tensor = torch.linalg.eigvalsh(tridiagonal)
    return eigenvalues[..., -1]


def _norm(image: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(image, dim=(-2, -1), keepdim=True)
    return norm
