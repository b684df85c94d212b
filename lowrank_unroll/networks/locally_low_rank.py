"""Iterative reconstruction of series whose small blocks are of low rank, a baseline without training."""

import math
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from lowrank_unroll.checks import check_at_least, check_not_negative
from lowrank_unroll.linalg import casorati, from_blocks, singular_value_threshold, spectral_norm, to_blocks
from lowrank_unroll.networks.fista import FISTAIteration, FISTAState
from lowrank_unroll.networks.unrolled import UnrolledNetwork
from lowrank_unroll.networks.view_sharing import ViewSharing
from lowrank_unroll.sample import SERIES_AXES

SEED = 3407


class LocallyLowRankRecon(UnrolledNetwork[FISTAState]):
    """Shrink the singular values of the Casorati matrix of every block of a series, by FISTA, for ||A|| <= 1.

    What moves in a block is told by few curves over time, where a whole series needs many (Trzasko & Manduca, ISMRM
    2011). It starts from :class:`ViewSharing`, and what does not move, the mean over time, is not shrunk: where whole
    lines are missing, as with one coil and VISTA, shrinkage alone would never find it. The grid of blocks is elsewhere
    in each iteration, so that no seams stay (Zhang, Pauly & Levesque, Magn. Reson. Med. 2015): at places that are drawn
    once, so that results repeat. It has nothing to train: run ``test`` or ``predict``, or let a network start from it.

    Args:
        block: pixels a side.
        threshold: relative to the largest singular value of the series it starts from, times block over image side,
            which is what a block has of it.
        iterations: number of iterations.

    Raises:
        ValueError: if the threshold is negative or not finite, or a number is below 1.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES
    image_is_complex: ClassVar[bool | None] = True

    def __init__(self, block: int = 16, threshold: float = 0.0006, iterations: int = 80) -> None:
        check_at_least(1, block=block, iterations=iterations)
        check_not_negative(threshold=threshold)
        generator = torch.Generator().manual_seed(SEED)
        cuts = torch.randint(block, (iterations, 2), generator=generator, device="cpu").tolist()
        shrinkages = (partial(_shrink, block=block, cut=(top, left)) for top, left in cuts)
        super().__init__((FISTAIteration(shrink) for shrink in shrinkages), start=ViewSharing())
        self.block = block
        self.threshold = threshold

    def initial_state(self, image: Tensor) -> FISTAState:
        """Start from what the frames share."""
        share = self.block / math.sqrt(image.shape[-2] * image.shape[-1])
        return FISTAState(image, image, self.threshold * share * spectral_norm(casorati(image)), 1.0)


def _shrink(series: Tensor, threshold: Tensor, block: int, cut: tuple[int, int]) -> Tensor:
    matrices = to_blocks(series, block, cut)
    static = matrices.mean(-2, keepdim=True)
    shrunk = static + singular_value_threshold(matrices - static, threshold[:, None])
    return from_blocks(shrunk, series.shape[-2:], block, cut)
