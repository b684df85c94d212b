"""Which samples each process evaluates."""

from collections.abc import Iterator

from torch.utils.data import DistributedSampler


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
