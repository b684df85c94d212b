"""Results of several processes on the samples of one data set, collected in the first."""

import itertools
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import TypeVar

from lightning.pytorch import Trainer
from torch import distributed

Result = TypeVar("Result")


def sampled_indices(trainer: Trainer) -> Iterator[int]:
    """Return the indices in the data set of the samples that this process tests, in the order in which they come."""
    return itertools.count() if trainer.world_size == 1 else iter(trainer.test_dataloaders.sampler)  # type: ignore[union-attr]


def gather_results(trainer: Trainer, results: Mapping[int, Result]) -> dict[int, Result]:
    """Collect the results of all processes, by index in the data set and in that order; every process must call it.

    Returns:
        In the first process all results, one for each index; in the others nothing.
    """
    if trainer.world_size == 1:
        return dict(results)
    shares: list[Mapping[int, Result]] | None = [{}] * trainer.world_size if trainer.is_global_zero else None
    distributed.gather_object(results, shares)
    merged = {index: result for share in shares or [] for index, result in share.items()}
    return dict(sorted(merged.items(), key=itemgetter(0)))
