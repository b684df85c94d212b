"""What several processes found about the samples of one data set, put together."""

import itertools
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import TypeVar

from lightning.pytorch import Trainer
from torch import distributed

Found = TypeVar("Found")


def tested_indices(trainer: Trainer) -> Iterator[int]:
    """The places in the data set of the samples that this process tests, in the order in which they come."""
    return itertools.count() if trainer.world_size == 1 else iter(trainer.test_dataloaders.sampler)  # type: ignore[union-attr]


def gather(trainer: Trainer, found: Mapping[int, Found]) -> dict[int, Found]:
    """Collect what each process found, by its place in the data set and in that order; every process must call it.

    Returns:
        Of the first process, what all found, once for each place; of the others, nothing.
    """
    if trainer.world_size == 1:
        return dict(found)
    shares: list[Mapping[int, Found]] | None = [{}] * trainer.world_size if trainer.is_global_zero else None
    distributed.gather_object(found, shares)
    merged = {place: one for share in shares or [] for place, one in share.items()}
    return dict(sorted(merged.items(), key=itemgetter(0)))
