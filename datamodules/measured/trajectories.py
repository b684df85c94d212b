"""K-space that was measured along a trajectory: as a sample, and on a grid."""

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from datamodules.measured.coil_treatment import Measured
from datamodules.measured.scaling import scale_to_unit_maximum
from lowrank_unroll.operators import Diagonal, Fourier, NonUniformFourier, density_weights, unit_norm_weights
from lowrank_unroll.sample import Sample


def trajectory_sample(
    kspace: Tensor, trajectory: Tensor, sensitivities: Tensor, name: str, origin: str, target: Tensor | None = None
) -> Sample:
    """Return the scaled sample of k-space along a trajectory.

    Samples beyond the resolution of the image, of more than half a cycle per pixel, are not in the mask.

    Args:
        kspace: (coil, time, samples), complex64, not weighted.
        trajectory: (time, samples, 2), float32, cycles per field of view along the height and width.
        sensitivities: (coil, 1, height, width), complex64.
        name: of the sample.
        origin: of the sample.
        target: (time, height, width), complex64; None if it is not known.
    """
    shape = sensitivities.shape[-2:]
    mask = _within(trajectory, shape)[None]
    weights = density_weights(trajectory[None], shape, mask=mask)
    weights = unit_norm_weights(weights, trajectory[None], shape)
    sample = Sample(
        kspace * mask * weights.sqrt(), target, mask, sensitivities, torch.tensor(1.0), name, origin,
        trajectory=trajectory, weights=weights[0],
    )  # fmt: skip
    return scale_to_unit_maximum(sample)


def grid_samples(kspace: Tensor, trajectory: Tensor, shape: Sequence[int]) -> Measured:
    """Grid samples by the adjoint transform with density weights.

    Args:
        kspace: (coil, samples), complex64.
        trajectory: (samples, 2), float32, cycles per field of view along the height and width.
        shape: height and width of the field of view in pixels.

    Returns:
        Cartesian k-space (coil, height, width), complex64; sampled (height, width), True beside samples.
    """
    within = _within(trajectory, shape)
    inside = trajectory[within]
    weights = density_weights(inside[None, None], shape)
    operator = Diagonal(weights[:, None]) @ NonUniformFourier(inside[None, None], shape)
    images = operator.adjoint(kspace[None, :, None, within])[0, :, 0]
    return Measured(Fourier()(images), _beside_samples(inside, shape))


def _beside_samples(trajectory: Tensor, shape: Sequence[int]) -> Tensor:
    """Return True at grid positions that are less than one apart from a sample, along the height and the width."""
    found = torch.zeros(tuple(shape), dtype=torch.bool)
    sides = torch.tensor(shape)
    for down, right in product((torch.floor, torch.ceil), repeat=2):
        nearest = torch.stack([down(trajectory[:, 0]), right(trajectory[:, 1])], dim=-1).long()
        found[*(nearest + sides // 2).clamp(max=sides - 1).T] = True
    return found


def _within(trajectory: Tensor, shape: Sequence[int]) -> Tensor:
    """Return True for samples of at most half a cycle per pixel, up to rounding."""
    return (trajectory.abs() <= (0.5 + 1e-4) * torch.tensor(shape)).all(-1)
