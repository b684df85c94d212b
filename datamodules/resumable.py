"""A loader whose place in the epoch is kept in checkpoints."""

import signal
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from torch.utils.data import DataLoader

from datamodules.draws import Draws
from lowrank_unroll.sample import Sample


class ResumableLoader(DataLoader[Sample]):
    """Load training batches; after a resume, go on behind the last one that was trained on.

    Lightning keeps the state of loaders that have one in its checkpoints, and gives it back before the first batch.
    """

    _batches = 0
    _resumed: Mapping[str, int] = MappingProxyType({})

    def state_dict(self) -> dict[str, int]:
        """The epoch, and how many of its batches have been handed out."""
        return {"epoch": getattr(self.sampler, "epoch", 0), "batches": self._batches}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Leave out, once that epoch comes, the batches that were handed out."""
        self._resumed = state_dict

    # A generator begins at its first batch: Lightning asks for the iterator before it tells the sampler the epoch.
    def __iter__(self) -> Iterator[Sample]:  # type: ignore[override]
        """The batches of this process and epoch that are left."""
        self._batches = 0
        if isinstance(self.sampler, Draws):  # Lightning replaces it to overfit a few batches
            if self.sampler.epoch == self._resumed.get("epoch"):
                self._batches = self._resumed["batches"]
            self.sampler.skipped = self._batches * (self.batch_size or 1)
        for batch in super().__iter__():
            self._batches += 1
            yield batch


def ignore_interrupts(worker: int) -> None:
    """Let Ctrl-C, which a terminal sends to all processes, end the training and not the processes that load for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
