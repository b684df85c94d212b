"""Quality of one component of a reconstruction of several images, and of the mask of where it is."""

from functools import partial

import torch
from torch import Tensor

from lowrank_unroll.metrics.comparison import Measure, compares, with_attributes_of

LEVEL = 0.2  # of the target's largest magnitude, from which on a pixel counts


@compares(higher_is_better=True, label="F1")
def f1(reconstruction: Tensor, target: Tensor) -> Tensor:
    """F1 score of the pixels that an image occupies, ``2 TP / (2 TP + FP + FN)``, shape (batch,).

    The mask of either image is that of :func:`occupied`, of magnitudes above a fifth of the target's largest. NaN for a
    target that is zero everywhere.
    """
    found, expected = (occupied(image, target).flatten(1) for image in (reconstruction, target))
    both = (found & expected).sum(1)
    return torch.where(expected.any(1), 2 * both / (found.sum(1) + expected.sum(1)), torch.nan)


def occupied(image: Tensor, target: Tensor) -> Tensor:
    """Return where the magnitude of images (batch, ...) exceeds a fifth of their target's largest, boolean."""
    largest = target.abs().flatten(1).amax(1).reshape(-1, *[1] * (target.ndim - 1))
    return image.abs() > LEVEL * largest


def of_component(measure: Measure, component: int) -> Measure:
    """Return the measure of one component of images (batch, component, ...)."""
    return with_attributes_of(measure, partial(_of_component, measure, component))


def _of_component(measure: Measure, component: int, reconstruction: Tensor, target: Tensor) -> Tensor:
    return measure(reconstruction[:, component], target[:, component])
