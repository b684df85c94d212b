"""The Fourier transform from images to samples of k-space off the Cartesian grid."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lowrank_unroll.checks import check_positive, check_sides
from lowrank_unroll.linalg import at_least_single
from lowrank_unroll.operators.gridding import Interpolation, grid_size, narrowest_kernel
from lowrank_unroll.operators.linear_operator import LinearOperator
from lowrank_unroll.operators.shapes import check_dims, check_tensor

OVERSAMPLING = 1.4  # of the grid, at least
AXES = 2  # height and width
GRID_DIMS = (2, 3)  # behind batch and time
COLUMN_DIMS = 3  # batch, coil and time that share a trajectory


class NonUniformFourier(LinearOperator):
    """The Fourier transform at the samples of a trajectory, such as radial spokes or spirals.

    y(k) = sum over pixels r of x(r) exp(-2 pi i k r / n) / sqrt(height * width), with r counted from n // 2: at integer
    coordinates it is :class:`Fourier`. The sum is computed by an FFT of the deapodized image on an oversampled grid and
    Kaiser-Bessel interpolation, a sparse matrix. ``adjoint`` is the exact adjoint of that. Both are
    differentiable to any order, also by ``torch.func``.

    The norm of the operator is above 1 where samples are dense: see :func:`unit_norm_weights`. ``gram`` is A^H A:
    convolution with the point-spread function (Toeplitz embedding) would be faster, but in an acquisition weights and a
    mask stand between A^H and A, and change that function.

    Args:
        trajectory: (batch, time, samples, 2), real; cycles per field of view along height and width, such as -n / 2 to
            n / 2 for a side of n pixels. Batch and time may be 1: all share the trajectory.
        shape: (height, width) of the images.
        accuracy: upper bound of the error of the samples of an image of white noise, relative, root mean square. In
            float32, rounding adds about 1e-6; in float64, 1e-9 is reached.

    Raises:
        ValueError: if the trajectory is of another shape or requires a gradient, a size is below 1, the accuracy is not
            positive, or an image or a measurement does not fit.
        TypeError: if the trajectory is not real.

    >>> angles = torch.arange(8)[:, None] * torch.pi / 8
    >>> radius = torch.arange(-8, 8)
    >>> trajectory = torch.stack([radius * angles.sin(), radius * angles.cos()], -1).reshape(1, 1, -1, 2)
    >>> A = NonUniformFourier(trajectory, (16, 16))
    >>> A(torch.ones(2, 4, 5, 16, 16)).shape
    torch.Size([2, 4, 5, 128])
    """

    def __init__(self, trajectory: Tensor, shape: Sequence[int], accuracy: float = 1e-3) -> None:
        check_trajectory(trajectory)
        check_sides("height, width", shape=shape)
        check_positive(accuracy=accuracy)
        self.trajectory = trajectory = at_least_single(trajectory)
        self.frames = tuple(trajectory.shape[:2])
        self.shape = tuple(shape)
        self.grid = tuple(grid_size(side, OVERSAMPLING) for side in shape)
        oversampling = [points / side for points, side in zip(self.grid, shape, strict=True)]
        kernels = [narrowest_kernel(ratio, accuracy / math.sqrt(2)) for ratio in oversampling]
        points = trajectory.flatten(0, 1) * torch.tensor(oversampling, dtype=torch.float64, device=trajectory.device)
        self.interpolation = Interpolation(points, self.grid, kernels, trajectory.dtype)
        height, width = (
            1 / kernel.transform((torch.arange(side, dtype=torch.float64) - side // 2) / points)
            for kernel, side, points in zip(kernels, shape, self.grid, strict=True)
        )
        self.deapodization = (height[:, None] * width / math.sqrt(math.prod(shape))).to(trajectory)

    def forward(self, image: Tensor) -> Tensor:
        """Return the samples (batch, coil, time, samples) of images (batch, coil, time, height, width), complex."""
        check_dims("the image", image, "batch", "coil", "time", "height", "width")
        self._check_fits("the image", image, self.shape)
        image = self._frames_first(at_least_single(image) * self.deapodization)
        grid = torch.fft.fft2(torch.nn.functional.pad(image, self._padding), dim=GRID_DIMS)
        samples = self.interpolation(grid.flatten(2, 3).flatten(0, 1))
        return self._batch_first(samples.reshape(*self.frames, *samples.shape[1:]))

    def adjoint(self, measurement: Tensor) -> Tensor:
        """Return the images (batch, coil, time, height, width) of samples (batch, coil, time, samples), complex."""
        check_dims("the measurement", measurement, "batch", "coil", "time", "samples")
        self._check_fits("the measurement", measurement, self.interpolation.shape[1:2])
        samples = self._frames_first(at_least_single(measurement))
        grid = self.interpolation.adjoint(samples.flatten(0, 1))
        grid = grid.reshape(*self.frames, *self.grid, *grid.shape[2:])
        (height, width), (top, left) = self.shape, self._corner
        image = torch.fft.ifft2(grid, dim=GRID_DIMS, norm="forward")[:, :, top : top + height, left : left + width]
        return self._batch_first(image).contiguous() * self.deapodization

    @property
    def _corner(self) -> list[int]:
        """The index of the first pixel on the grid: the origins of both coincide."""
        return [points // 2 - side // 2 for points, side in zip(self.grid, self.shape, strict=True)]

    @property
    def _padding(self) -> tuple[int, ...]:
        (height, width), (top, left) = self.shape, self._corner
        sides = left, self.grid[1] - width - left, top, self.grid[0] - height - top
        return (*[0, 0] * COLUMN_DIMS, *sides)

    def _frames_first(self, tensor: Tensor) -> Tensor:
        """Return (batch, time, ..., batch, coil, time) of (batch, coil, time, ...): what shares a trajectory last."""
        (batch, time), (all_batch, coil, all_time, *sides) = self.frames, tensor.shape
        parts = tensor.reshape(batch, all_batch // batch, coil, time, all_time // time, *sides)
        return parts.movedim((1, 2, 4), (-3, -2, -1))

    def _batch_first(self, tensor: Tensor) -> Tensor:
        """Return (batch, coil, time, ...) of (batch, time, ..., batch, coil, time)."""
        return tensor.movedim((-3, -2, -1), (1, 2, 4)).flatten(3, 4).flatten(0, 1)

    def _check_fits(self, name: str, tensor: Tensor, sides: tuple[int, ...]) -> None:
        batch, time = self.frames
        expected = ("batch" if batch == 1 else batch, "coil", "time" if time == 1 else time, *sides)
        known = [isinstance(size, str) or size == found for size, found in zip(expected, tensor.shape, strict=True)]
        if not all(known):
            shape = ", ".join(map(str, expected))
            raise ValueError(f"{name} is {tuple(tensor.shape)}, expected ({shape}), as shape and trajectory say")


def check_trajectory(trajectory: Tensor) -> None:
    """Refuse what is not a trajectory (batch, time, samples, 2), real, without gradient.

    Raises:
        ValueError: if it is of another shape, or requires a gradient.
        TypeError: if it is not real.
    """
    check_tensor(trajectory=trajectory)
    check_dims("trajectory", trajectory, "batch", "time", "samples", "2")
    if trajectory.shape[-1] != AXES:
        raise ValueError(f"trajectory is {tuple(trajectory.shape)}, expected (batch, time, samples, 2)")
    if not trajectory.is_floating_point():
        raise TypeError(f"trajectory is {trajectory.dtype}, expected real numbers, in cycles per field of view")
    if trajectory.requires_grad:
        raise ValueError("trajectory requires a gradient, which NonUniformFourier has not: give trajectory.detach()")
