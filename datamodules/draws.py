"""The order in which training samples are drawn, and the source of what is random about each."""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import DistributedSampler


class Draws(DistributedSampler[int]):
    """Shuffle anew each epoch and number every draw of the run: epoch * len(dataset) + index.

    A dataset takes a draw modulo its length as the index of the image, and the draw itself as the seed of whatever is
    random about the sample. Order and samples are thus functions of (seed, epoch) alone, which Lightning restores.

    The draws of an epoch are dealt to the processes in turn, so that two processes with batches of n train on the
    batches that one process with batches of 2 n would.

    Attributes:
        skipped: how many draws of the epoch this process leaves out, those that it had before it was resumed.
    """

    skipped = 0

    def __iter__(self) -> Iterator[int]:
        """The draws of this process and epoch."""
        offset = self.epoch * len(self.dataset)  # type: ignore[arg-type]
        return (offset + index for index in itertools.islice(super().__iter__(), self.skipped, None))


def generator_of(*numbers: int) -> torch.Generator:
    """A random generator that depends on every one of some non-negative numbers, such as a seed and a draw."""
    # The generator keeps 32 bits of its seed: the sequence mixes the numbers into them.
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
