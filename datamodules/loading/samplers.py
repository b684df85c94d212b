"""Samplers of training and evaluation, for any number of processes."""

import itertools
from collections.abc import Iterator

from torch.utils.data import DistributedSampler


class DrawSampler(DistributedSampler[int]):
    """Shuffle anew each epoch and number every draw of the run: epoch * len(dataset) + index.

    A dataset takes the draw modulo its length as the index of the image, and the draw itself as the seed of everything
    random about the sample. Order and samples thus depend on (seed, epoch) alone, which Lightning restores.

    The draws of an epoch are dealt to the processes in turn, so that two processes with batches of n train on the
    batches that one process with batches of 2 n would.

    Attributes:
        skipped: number of draws of the epoch that this process has had before it was resumed.
    """

    skipped = 0

    def __iter__(self) -> Iterator[int]:
        """Yield the draws of this process and epoch."""
        offset = self.epoch * len(self.dataset)  # type: ignore[arg-type]
        return (offset + index for index in itertools.islice(super().__iter__(), self.skipped, None))


class UnrepeatedSampler(DistributedSampler[int]):
    """Deal the samples to the processes in turn, in order and without repeats.

    The processes may differ by one sample; PyTorch's DistributedSampler would repeat samples, and so count them twice.
    Lightning does not replace a DistributedSampler.
    """

    def __iter__(self) -> Iterator[int]:
        """Yield the indices of this process."""
        return iter(self._indices())

    def __len__(self) -> int:
        """Return the number of indices of this process; 0 in some if there are fewer samples than processes."""
        return len(self._indices())

    def _indices(self) -> range:
        return range(self.rank, len(self.dataset), self.num_replicas)  # type: ignore[arg-type]
