"""The scale of samples of dynamic MRI, which is known without the image."""

import torch
from torch import Tensor

from lowrank_unroll.operators import Fourier, LinearOperator, coil_operator
from lowrank_unroll.sample import Sample


def scale_to_unit_maximum(sample: Sample) -> Sample:
    """Divide a sample by the maximum magnitude of its zero-filled series; a sample of zeros stays as it is."""
    zero_filled = fully_sampled_operator(sample.coil_sensitivities).adjoint(sample.measurement[None])
    maximum = zero_filled.abs().max()
    scale = torch.where(maximum > 0, maximum, 1)
    target = None if sample.target is None else sample.target / scale
    return sample._replace(measurement=sample.measurement / scale, target=target, scale=sample.scale * scale)


def fully_sampled_operator(sensitivities: Tensor | None) -> LinearOperator:
    """Return the forward model of a fully sampled measurement.

    Args:
        sensitivities: (coil, 1, height, width), complex64; None for a single coil that sees every pixel alike.
    """
    return Fourier() @ coil_operator(None if sensitivities is None else sensitivities[None])
