"""Reconstruction of dynamic MRI."""

from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.metrics import SampleMean, frame_ssim, hfen, nmse, of_magnitudes, psnr, ser
from lowrank_unroll.modules.reconstruction import ReconstructionModule
from lowrank_unroll.operators import LinearOperator, series_operator
from lowrank_unroll.sample import SERIES_AXES, Sample

PROFILE_GAP = 2  # grey rows that separate a frame from its profile over time, in pictures


class DynamicMRI(ReconstructionModule):
    """Reconstruct complex series of images from undersampled k-space of one or several coils.

    Args:
        network: called as ``network(measurement, operator)``, returns complex series; learned or iterative.
        optimizer: from parameters to optimizer.
        scheduler: from optimizer to learning-rate scheduler, stepped once per epoch; None for a constant rate.
        compile: train faster after a slower first step: on one GPU all kernels of a step are launched as one, elsewhere
            convolutions are compiled.
        shrinkage: False trains the network with its low-rank steps replaced by the identity, an ablation.
        loss: called as ``loss(reconstruction, target)``; None for the mean squared error.
        weights: initial ones: the name of a bundled network, a file or a checkpoint; None for random ones.
        self_supervision: train and validate without targets, see :class:`SSDU`; None to use targets.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES

    def operator(self, batch: Sample) -> LinearOperator:
        """Return coil sensitivities, Fourier transform and sampling, composed; see :func:`series_operator`."""
        return series_operator(batch.mask, batch.coil_sensitivities, batch.trajectory, batch.weights)

    def zero_filled(self, batch: Sample) -> Tensor:
        """Return A^H y; along a trajectory, where density weights scale it, the multiple that fits y best."""
        image = super().zero_filled(batch)
        if batch.trajectory is None:
            return image
        predicted = self.operator(batch)(image).flatten(1)
        squares = predicted.abs().square().sum(1)
        fit = (predicted.conj() * batch.measurement.flatten(1)).real.sum(1) / squares.where(squares > 0, 1)
        return fit[:, None, None, None] * image

    def metrics(self) -> dict[str, SampleMean]:
        """Return PSNR, SSIM per frame, NMSE and HFEN of magnitudes, and SER of complex series."""
        return {
            "psnr": SampleMean(of_magnitudes(psnr)),
            "ssim": SampleMean(of_magnitudes(frame_ssim)),
            "ser": SampleMean(ser),
            "nmse": SampleMean(of_magnitudes(nmse)),
            "hfen": SampleMean(of_magnitudes(hfen)),
        }

    def picture(self, image: Tensor, target: Tensor) -> Tensor:
        """Draw the magnitude of the middle frame of a series (time, height, width), and of its middle row over time."""
        magnitude = image.abs() / target.abs().max().clamp(min=torch.finfo(target.real.dtype).tiny)
        return _frame_and_profile(magnitude)

    def picture_of_mask(self, mask: Tensor) -> Tensor:
        """Draw the mask (1, time, height, width) of the middle frame, and of the middle row over time."""
        return _frame_and_profile(mask[0].float())


def _frame_and_profile(series: Tensor) -> Tensor:
    """Draw the middle frame of a series (time, height, width), and below it the middle row over time, in grey."""
    time, height, width = series.shape
    gap = series.new_full((PROFILE_GAP, width), 0.5)
    grey = torch.cat([series[time // 2], gap, series[:, height // 2].repeat_interleave(2, dim=0)])
    return grey.expand(3, -1, -1)
