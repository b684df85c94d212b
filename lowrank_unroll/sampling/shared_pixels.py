"""Uniform draws of what bands or frames share: pixels, or whole bands."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lowrank_unroll.sampling.pattern import check_frames
from lowrank_unroll.sampling.uniform import Uniform


@dataclass(frozen=True)
class SharedPixels(Uniform):
    """The same pixels in every band or frame, drawn uniformly.

    Args:
        ratio: fraction of the pixels to sample, in (0, 1], see :class:`Uniform`.

    Raises:
        ValueError: if a ratio is outside (0, 1], or the smallest does not come first.
    """

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a mask of shape (..., band, height, width)."""
        check_frames(shape)
        drawn = super().__call__((*shape[:-3], 1, *shape[-2:]), generator)
        return drawn.expand(*shape).contiguous()


@dataclass(frozen=True)
class WholeBands(Uniform):
    """Whole bands or frames, drawn uniformly; nothing of the others is sampled.

    Args:
        ratio: fraction of the bands to sample, in (0, 1], at least one band, see :class:`Uniform`.

    Raises:
        ValueError: if a ratio is outside (0, 1], or the smallest does not come first.
    """

    def __call__(self, shape: Sequence[int], generator: torch.Generator) -> Tensor:
        """Draw a mask of shape (..., band, height, width)."""
        check_frames(shape)
        drawn = super().__call__((*shape[:-3], shape[-3], 1), generator)
        return drawn[..., None].expand(*shape).contiguous()
