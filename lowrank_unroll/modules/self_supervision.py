"""Training without ground truth: some of what is measured is held back, and predicted from the rest."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least, check_fraction
from lowrank_unroll.errors import UsageError
from lowrank_unroll.names import abridged
from lowrank_unroll.sample import Sample


@dataclass(frozen=True)
class SSDU:
    """Self-supervision via data undersampling (Yaman et al., Magn. Reson. Med. 84, 2020), with several masks if wanted.

    Of the samples of a measurement a random part is held back from the network, whose reconstruction is then to predict
    it. With several masks (Yaman et al., NMR Biomed. 35, 2022) that is done with as many parts in each step.

    Args:
        share: of the samples that are held back.
        masks: how many splits of each measurement a training step takes.
        centre: rows and columns in the middle of the mask of which no sample is held back, for most of the energy of
            k-space is there; 0 for measurements that have no centre, such as pixels.

    Raises:
        ValueError: if the share is none, or a number is too small.
    """

    share: float = 0.4
    masks: int = 1
    centre: int = 4

    def __post_init__(self) -> None:
        check_fraction(share=self.share)
        check_at_least(1, masks=self.masks)
        check_at_least(0, centre=self.centre)

    def split(self, batch: Sample, number: int) -> tuple[Sample, Sample]:
        """The samples of a batch that a network is given, and those held back, which depend on the number alone.

        Raises:
            UsageError: if there is nothing to hold back, or to expect of the share; names the images.
        """
        self._check_some_are_held_back(batch)
        held = self.held_back(batch.mask, torch.Generator(batch.mask.device).manual_seed(number))
        given, held_back = (
            batch._replace(mask=mask, measurement=batch.measurement * mask) for mask in (batch.mask & ~held, held)
        )
        return given, held_back

    def held_back(self, mask: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw which samples are held back.

        Args:
            mask: boolean, (batch, ..., height, width).
            generator: on the device of the mask; None for the global one.

        Returns:
            Boolean, shape of ``mask``, and False where that is.
        """
        drawn = torch.rand(mask.shape, generator=generator, device=mask.device) < self.share
        return drawn & self._outside_centre(mask)

    def _outside_centre(self, mask: Tensor) -> Tensor:
        height, width = mask.shape[-2:]
        top, left = height // 2 - self.centre // 2, width // 2 - self.centre // 2
        outside = mask.clone()
        outside[..., max(0, top) : top + self.centre, max(0, left) : left + self.centre] = False
        return outside

    def _check_some_are_held_back(self, batch: Sample) -> None:
        free = int(self._outside_centre(batch.mask).sum())
        if self.share * free < 1:
            raise UsageError(
                f"of {abridged(batch.name, limit=3)} nothing is held back to train on: share {self.share:g} of the "
                f"{free} samples outside the centre of {self.centre} x {self.centre} is less than one. Give a larger "
                "--model.self_supervision.share, or a smaller --model.self_supervision.centre"
            )


def relative_error(prediction: Tensor, measurement: Tensor) -> Tensor:
    """The loss of SSDU, ||p - y||_2 / ||y||_2 + ||p - y||_1 / ||y||_1 of each sample, averaged over the batch.

    Args:
        prediction: p, (batch, ...), real or complex.
        measurement: y, of the same shape; zero where nothing is to be predicted.
    """
    difference, measurement = (prediction - measurement).flatten(1), measurement.flatten(1)
    tiny = torch.finfo(difference.real.dtype).tiny
    ratios = [
        torch.linalg.vector_norm(difference, order, dim=1)
        / torch.linalg.vector_norm(measurement, order, dim=1).clamp(min=tiny)
        for order in (2, 1)
    ]
    return torch.stack(ratios).sum(0).mean()
