"""Series parted into a background of low rank and what moves."""

from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.metrics import SampleMean, f1, occupied, of_component, psnr
from lowrank_unroll.modules.reconstruction import ReconstructionModule, as_colors, relative_magnitude
from lowrank_unroll.operators import LinearOperator, Mask, Superposition
from lowrank_unroll.sample import COMPONENTS_AXES, Sample

BACKGROUND, SPARSE = range(2)


class LowRankPlusSparse(ReconstructionModule):
    """Part a video, or an ultrasound series, into a background of low rank and a sparse part, which moves.

    Robust principal component analysis: y = L + S, at the pixels that are measured. An image is (component, time,
    height, width), real or complex, its components L and S. Self-supervision predicts measured pixels that the network
    has not seen, of L + S, so that it needs no parted series.

    :class:`~lowrank_unroll.networks.LowRankPlusSparseRecon` and :class:`~lowrank_unroll.networks.LplusSNet` are no
    networks of this task: they reconstruct one series from k-space, for :class:`DynamicMRI`, with L and S inside.

    Args:
        network: called as ``network(measurement, operator)``, returns both components; learned or iterative.
        optimizer: from parameters to optimizer.
        scheduler: from optimizer to learning-rate scheduler, stepped once per epoch; None for a constant rate.
        compile: train faster after a slower first step, see :class:`ReconstructionModule`.
        shrinkage: False trains the network with its low-rank steps replaced by the identity, an ablation.
        loss: called as ``loss(reconstruction, target)``; None for the mean squared error of both components.
        weights: initial ones: the name of a bundled network, a file or a checkpoint; None for random ones.
        self_supervision: train and validate without targets, see :class:`SSDU`, with ``center`` 0; None to use targets.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = COMPONENTS_AXES
    components: ClassVar[tuple[str, ...]] = ("background", "sparse")
    adjoint_name: ClassVar[str] = "measured"

    def operator(self, batch: Sample) -> LinearOperator:
        """Return the sum of the components, at the pixels that are measured."""
        return Mask(batch.mask) @ Superposition(len(self.components))

    def metrics(self) -> dict[str, SampleMean]:
        """Return PSNR and F1 of the sparse part, and PSNR of the background."""
        return {
            "psnr": SampleMean(of_component(psnr, SPARSE), label="PSNR of the sparse part"),
            "f1": SampleMean(of_component(f1, SPARSE)),
            "background_psnr": SampleMean(of_component(psnr, BACKGROUND), label="PSNR of the background"),
        }

    def pictures(self, image: Tensor, target: Tensor) -> Tensor:
        """Draw the middle frames of the background and of the sparse part, and the mask of the latter."""
        mask = occupied(image[SPARSE][None], target[SPARSE][None])[0]
        return torch.cat([super().pictures(image, target), as_colors(_middle(mask.float()))], dim=-2)

    def picture(self, image: Tensor, target: Tensor) -> Tensor:
        """Draw the magnitude of the middle frame of a component (time, height, width), white at the largest."""
        return as_colors(relative_magnitude(_middle(image), target))

    def picture_of_mask(self, mask: Tensor) -> Tensor | None:
        """Draw the middle frame of a mask (time, height, width); None where all pixels are measured."""
        return None if mask.all() else as_colors(_middle(mask.float()))


def _middle(series: Tensor) -> Tensor:
    """Return the middle frame of a series (time, height, width), as an image of one channel."""
    return series[len(series) // 2][None]
