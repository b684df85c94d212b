"""The order in which training samples are drawn."""

from collections.abc import Iterator

from torch.utils.data import DistributedSampler


class Draws(DistributedSampler[int]):
    """Shuffle anew each epoch and number every draw of the run: epoch * len(dataset) + index.

    A dataset takes a draw modulo its length as the index of the image, and the draw itself as the seed of whatever is
    random about the sample. Order and samples are thus functions of (seed, epoch) alone, which Lightning restores.
    """

    def __iter__(self) -> Iterator[int]:
        """The draws of this rank and epoch."""
        offset = self.epoch * len(self.dataset)  # type: ignore[arg-type]
        return (offset + index for index in super().__iter__())
