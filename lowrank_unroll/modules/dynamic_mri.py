"""Reconstruction of dynamic MRI."""

from torch import Tensor

from lowrank_unroll.modules.series import SeriesModule, frame_and_profile
from lowrank_unroll.operators import LinearOperator, series_operator
from lowrank_unroll.sample import Sample


class DynamicMRI(SeriesModule):
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

    def picture_of_mask(self, mask: Tensor) -> Tensor:
        """Draw the mask (1, time, height, width) of the middle frame, and of the middle row over time."""
        return frame_and_profile(mask[0].float())
