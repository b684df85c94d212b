"""Which samples a process gets: draws of them to train on, its share of them to evaluate."""

import itertools
from collections.abc import Iterator

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


class Shares(DistributedSampler[int]):
    """Deal the samples to the processes in turn, in order and without repeats.

    The shares may differ in size by one, where PyTorch's DistributedSampler would repeat samples to even them out, and
    so count them twice. Lightning leaves samplers of this class as they are.
    """

    def __iter__(self) -> Iterator[int]:
        """The indices of this process."""
        return iter(self._indices())

    def __len__(self) -> int:
        """How many there are; none in some processes if there are fewer samples than processes."""
        return len(self._indices())

    def _indices(self) -> range:
        return range(self.rank, len(self.dataset), self.num_replicas)  # type: ignore[arg-type]
