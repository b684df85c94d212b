"""The scale of samples of dynamic MRI, which is known without the image."""

import torch

from lowrank_unroll.operators import series_operator
from lowrank_unroll.sample import Sample


def scale_to_unit_maximum(sample: Sample) -> Sample:
    """Divide a sample by the maximum magnitude of its zero-filled series; a sample of zeros stays as it is."""
    batch = Sample.stack([sample])
    operator = series_operator(batch.mask, batch.coil_sensitivities, batch.trajectory, batch.weights)
    maximum = operator.adjoint(batch.measurement).abs().max()
    scale = torch.where(maximum > 0, maximum, 1)
    target = None if sample.target is None else sample.target / scale
    return sample._replace(measurement=sample.measurement / scale, target=target, scale=sample.scale * scale)
