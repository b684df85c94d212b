"""Functions for notebooks: reconstruct a sample, measure the quality, and look at the result.

Samples are made by functions such as ``datamodules.measure_image``, or are batches of a DataModule.
All functions take a single sample, without batch dim, as well as a batch, of tensors or of NumPy arrays.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lowrank_unroll.modules import ColorCS, DynamicMRI, ReconstructionModule, SeriesDenoising, SpectralCS
from lowrank_unroll.operators import LinearOperator
from lowrank_unroll.pictures import (
    Movie,
    Picture,
    animation,
    comparison,
    figure_of_panels,
    magnitude_frames,
    make_panel,
)
from lowrank_unroll.sample import Sample, known_target
from lowrank_unroll.weights import load_network

__all__ = ["animate", "operator_of", "quality", "reconstruct", "show"]

IMAGE_DIMS = 3  # of a single image or series
COLORS = 3  # a real image of more channels is a cube of bands


def operator_of(sample: Sample) -> LinearOperator:
    """Return the forward model of a sample.

    It is a mask for real images; coils, Fourier transform and sampling for k-space; the identity for series with noise.
    """
    return _task(sample).operator(_batch(sample))


@torch.no_grad()
def reconstruct(network: nn.Module | str | Path, sample: Sample, operator: LinearOperator | None = None) -> Tensor:
    """Reconstruct a sample.

    Args:
        network: called as ``network(measurement, operator)`` on the device of its weights; or the name of a
            bundled one, a file of weights or a checkpoint, see :func:`lowrank_unroll.weights.load_network`.
        sample: of colour, of a cube, of dynamic MRI, or of a series with noise.
        operator: of batches; None for that of :func:`operator_of`.

    Returns:
        The image, on the sample's device, in the shape and the unit of a target; multiply by ``sample.scale`` for the
        data's own unit.

    Raises:
        UsageError: if there are no such weights.
        DataError: if a file holds no weights; names it.
        ValueError: if the network is for images of another shape.
        TypeError: if it is for images of another kind, real or complex.
    """
    network = load_network(network) if isinstance(network, str | Path) else network
    batch = _batch(sample)
    home = batch.measurement.device
    batch = batch.to(next((weight.device for weight in network.parameters()), home))
    was_training = network.training
    image: Tensor = network.eval()(batch.measurement, operator or operator_of(batch))
    network.train(was_training)
    return (image[0] if _is_single(sample) else image).to(home)


def quality(image: Tensor, sample: Sample) -> dict[str, float]:
    """Return the metrics of a reconstruction, those of the sample's task; of a batch the means.

    Args:
        image: from :func:`reconstruct`, shape and unit of the target.
        sample: that was reconstructed.

    Returns:
        By name, for colour PSNR and SER (dB), SSIM and MSE, see :class:`ColorCS`; for cubes of more than three bands
        PSNR (dB), SAM (degrees), ERGAS and MSE, see :class:`SpectralCS`; for series PSNR and SER (dB), SSIM, NMSE and
        HFEN, see :class:`DynamicMRI`.

    Raises:
        UsageError: if the target is not known, as that of undersampled scans.
        ValueError: if the image is not of the target's shape.
    """
    target = known_target(_batch(sample))
    values = {}
    for name, metric in _task(sample).metrics().items():
        metric.to(target.device).update(_image_batch(image, sample), target)
        values[name] = float(metric.compute())
    return values


def show(image: Tensor, sample: Sample, operator: LinearOperator | None = None) -> Picture:
    """Draw reference, input A^H y, reconstruction, magnified error and mask, if known, in a row for each sample.

    Beside those of a cube of more than three bands are spectra of a few pixels.

    Args:
        image: from :func:`reconstruct`.
        sample: that was reconstructed.
        operator: of batches; None for that of :func:`operator_of`.

    Raises:
        ValueError: if the image is not of the target's shape.
    """
    task, batch, images = _task(sample), _batch(sample), _image_batch(image, sample)
    zero_filled = (operator or operator_of(sample)).adjoint(batch.measurement)
    targets = [None] * len(images) if batch.target is None else batch.target
    drawing = (task.picture, task.metrics()["psnr"].function, task.curves, task.adjoint_name)
    rows = zip(batch.name, targets, zero_filled, images, batch.mask_on_grid().cpu(), strict=True)
    return figure_of_panels(
        [make_panel(name, tuple(row), task.picture_of_mask(mask), *drawing) for name, *row, mask in rows]
    )


def animate(image: Tensor, sample: Sample | None = None) -> Movie:
    """Return an animation of the magnitudes of a series.

    Args:
        image: (time, height, width), real or complex.
        sample: that it was reconstructed from, without batch dim, to show input and, if it is known, reference and
            magnified error beside it; None for the series alone.

    Raises:
        ValueError: if the image is no single series, or not of the target's shape.
    """
    if image.ndim != IMAGE_DIMS:
        raise ValueError(f"the image is {tuple(image.shape)}, expected (time, height, width): choose one of the batch")
    if sample is None:
        return Movie(animation(magnitude_frames(torch.as_tensor(image).detach())))
    (series,) = _image_batch(image, sample)
    batch = _batch(sample)
    (zero_filled,) = operator_of(sample).adjoint(batch.measurement)
    return Movie(animation(*comparison(None if batch.target is None else batch.target[0], zero_filled, series)))


def _task(sample: Sample) -> ReconstructionModule:
    measurement = _of_tensors(sample).measurement
    if measurement.is_complex():
        is_kspace = sample.trajectory is not None or _batch(sample).measurement.ndim > 1 + IMAGE_DIMS
        return DynamicMRI(nn.Identity()) if is_kspace else SeriesDenoising(nn.Identity())
    return (SpectralCS if measurement.shape[-IMAGE_DIMS] > COLORS else ColorCS)(nn.Identity())


def _is_single(sample: Sample) -> bool:
    return isinstance(sample.name, str)


def _batch(sample: Sample) -> Sample:
    """Return the sample of tensors, with a batch dim."""
    sample = _of_tensors(sample)
    return Sample.stack([sample]) if _is_single(sample) else sample


def _of_tensors(sample: Sample) -> Sample:
    """Return the sample with tensors in single precision for NumPy arrays and for a scale that is a number."""
    tensors = Sample._make(map(_tensor, sample))
    return tensors._replace(mask=tensors.mask.bool(), scale=torch.as_tensor(tensors.scale, dtype=torch.float32))


def _tensor(value: Any) -> Any:
    if not isinstance(value, np.ndarray):
        return value
    return torch.from_numpy(value).to(torch.complex64 if np.iscomplexobj(value) else torch.float32)


def _image_batch(image: Tensor, sample: Sample) -> Tensor:
    if sample.target is not None and image.shape != sample.target.shape:
        given, expected = tuple(image.shape), tuple(sample.target.shape)
        raise ValueError(f"the image is {given}, expected {expected}, the shape of the sample's target")
    image = torch.as_tensor(image).detach()
    return image[None] if _is_single(sample) else image
