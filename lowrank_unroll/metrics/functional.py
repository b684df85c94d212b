"""Measures of quality: functions of (reconstruction, target), both (batch, ...), that return one value per sample.

All raise ValueError for images of different shapes, or of a shape that they do not take, and TypeError for integers, or
for complex numbers where only real ones have a meaning. Measures without unit are as precise in any unit of the images.
Each has attributes ``higher_is_better``, ``label`` and ``unit``.
"""

from functools import partial

import torch
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from lowrank_unroll.metrics.comparison import Measure, comparable, compares, with_attributes_of


@compares(higher_is_better=False, label="MSE")
def mse(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error ``|x - x^|^2`` over all values of a sample, shape (batch,), in the image's unit squared."""
    return (reconstruction - target).abs().square().flatten(1).mean(1)


@compares(higher_is_better=True, label="PSNR", unit="dB", scale_free=True)
def psnr(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Peak signal-to-noise ratio ``10 log10(max|x|^2 / mse)`` in dB, shape (batch,); the peak is each target's own.

    NaN for a target that is zero everywhere.
    """
    peak = target.abs().flatten(1).amax(1)
    return _decibel(peak.square(), mse(reconstruction, target))


@compares(higher_is_better=True, label="SER", unit="dB", scale_free=True)
def ser(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Signal-to-error ratio ``10 log10(||x||^2 / ||x - x^||^2)`` in dB, shape (batch,).

    NaN for a target that is zero everywhere.
    """
    energy = target.abs().square().flatten(1).mean(1)
    return _decibel(energy, mse(reconstruction, target))


@compares("channel, height, width", higher_is_better=True, label="SSIM", smallest=6, real=True)
def ssim(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of images (batch, channel, height, width) with values in [0, 1], shape (batch,).

    Gaussian window of sigma 1.5, data range 1 (Wang et al., IEEE TIP 2004), averaged over all pixels with the image
    mirrored at its borders; images of at least 6 x 6.
    """
    similarity = structural_similarity_index_measure(reconstruction, target, data_range=1.0, reduction="none")
    assert isinstance(similarity, Tensor)  # noqa: S101  a tuple only where the contrast or the map is asked for
    return similarity.reshape(len(target))


@compares(higher_is_better=False, label="NMSE", scale_free=True)
def nmse(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Normalised mean squared error ``||x - x^||^2 / ||x||^2``, shape (batch,).

    NaN for a target that is zero everywhere.
    """
    energy = target.abs().square().flatten(1).mean(1)
    return torch.where(energy > 0, mse(reconstruction, target) / energy, torch.nan)


@compares("time, height, width", higher_is_better=True, label="SSIM", smallest=6, real=True, scale_free=True)
def frame_ssim(reconstruction: Tensor, target: Tensor) -> Tensor:
    """Structural similarity of each frame of magnitude series (batch, time, height, width), averaged, shape (batch,).

    As :func:`ssim`, but with the maximum of the target's series as data range; NaN for one that is zero everywhere.
    """
    peak = target.flatten(1).amax(1)[:, None, None, None]
    scale = torch.where(peak > 0, peak, 1)
    frames = (series.flatten(0, 1)[:, None] for series in (reconstruction / scale, target / scale))
    similarity = ssim(*frames).reshape(target.shape[:2]).mean(1)
    return torch.where(peak.flatten() > 0, similarity, torch.nan)


def of_magnitudes(measure: Measure) -> Measure:
    """Return the measure of the magnitudes of complex images, as dynamic MRI is judged."""
    return with_attributes_of(measure, partial(_of_magnitudes, measure))


def _of_magnitudes(measure: Measure, reconstruction: Tensor, target: Tensor) -> Tensor:
    reconstruction, target = comparable(reconstruction, target)
    return measure(reconstruction.abs(), target.abs())


def is_defined(values: Tensor, target: Tensor) -> Tensor:
    """Return which values of a measure count, boolean (batch,): all but NaN that comes from a target without signal."""
    return ~values.isnan() | target.flatten(1).any(1)


def defined_values(measure: Measure, reconstruction: Tensor, target: Tensor) -> list[float | None]:
    """Return the value of a measure for each sample of a batch; None where it is undefined, see :func:`is_defined`."""
    values = measure(reconstruction, target)
    defined = is_defined(values, target).tolist()
    return [value if counts else None for value, counts in zip(values.tolist(), defined, strict=True)]


def _decibel(signal: Tensor, error: Tensor) -> Tensor:
    return torch.where(signal > 0, 10 * (signal / error).log10(), torch.nan)
