"""A loader whose place in the epoch is kept in checkpoints."""

import signal
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from torch.utils.data import DataLoader

from datamodules.loading.samplers import Draws
from lowrank_unroll.sample import Sample


class ResumableLoader(DataLoader[Sample]):
    """Load training batches; after a resume, go on behind the last one that was trained on.

    Lightning keeps the state of loaders that have one in its checkpoints, and gives it back before the first batch.
    """

    _place: Mapping[str, int] = MappingProxyType({"epoch": 0, "batches": 0})
    _resumed: Mapping[str, int] | None = None

    def state_dict(self) -> dict[str, int]:
        """The epoch of the last batch, and how many of that epoch have been handed out."""
        return dict(self._place)

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Leave out the batches that were handed out, if their epoch comes next."""
        self._place = self._resumed = state_dict

    # A generator begins at its first batch: Lightning asks for the iterator before it tells the sampler the epoch.
    def __iter__(self) -> Iterator[Sample]:  # type: ignore[override]
        """The batches of this process and epoch that are left."""
        epoch, had = getattr(self.sampler, "epoch", 0), 0
        if isinstance(self.sampler, Draws):  # Lightning replaces it to overfit a few batches
            if self._resumed is not None and self._resumed["epoch"] == epoch:
                had = self._resumed["batches"]
            self._resumed = None
            self.sampler.skipped = had * (self.batch_size or 1)
        for batches, batch in enumerate(super().__iter__(), start=had + 1):
            self._place = {"epoch": epoch, "batches": batches}
            yield batch


def ignore_interrupts(worker: int) -> None:
    """Let what a terminal sends to all processes end the training, and not the processes that load for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
