"""Loader of training batches that resumes within an epoch."""

import signal
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from torch.utils.data import DataLoader

from datamodules.loading.samplers import DrawSampler
from lowrank_unroll.sample import Sample


class ResumableLoader(DataLoader[Sample]):
    """Load training batches; after a resume, continue after the last batch that was trained on.

    Lightning saves the state of loaders in its checkpoints, and restores it before the first batch.
    """

    _position: Mapping[str, int] = MappingProxyType({"epoch": 0, "batches": 0})
    _resumed: Mapping[str, int] | None = None

    def state_dict(self) -> dict[str, int]:
        """Return the epoch of the last batch, and the number of batches of that epoch so far."""
        return dict(self._position)

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Skip the batches of the saved epoch, if that is the next."""
        self._position = self._resumed = state_dict

    # A generator, since Lightning asks for the iterator before it sets the epoch of the sampler.
    def __iter__(self) -> Iterator[Sample]:  # type: ignore[override]
        """Yield the remaining batches of this process and epoch."""
        epoch, skipped = getattr(self.sampler, "epoch", 0), 0
        if isinstance(self.sampler, DrawSampler):  # Lightning replaces it with overfit_batches
            if self._resumed is not None and self._resumed["epoch"] == epoch:
                skipped = self._resumed["batches"]
            self._resumed = None
            self.sampler.skipped = skipped * (self.batch_size or 1)
        for batches, batch in enumerate(super().__iter__(), start=skipped + 1):
            self._position = {"epoch": epoch, "batches": batches}
            yield batch


def ignore_interrupts(worker: int) -> None:
    """Ignore SIGINT and SIGHUP in a worker: a terminal sends them to all processes, and training ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
