"""Datasets whose samples are a function of the seed and the draw."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng
from torch.utils.data import Dataset

from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Sample


def generator_of(*numbers: int) -> torch.Generator:
    """Return a random generator that is seeded by all of some non-negative numbers, such as a seed and a draw."""
    # The generator keeps only 32 bits of its seed; SeedSequence mixes all numbers into them.
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


if TYPE_CHECKING:
    from collections.abc import Sized


class DrawnDataset(Dataset[Sample], ABC):
    """A dataset indexed by draws, see :class:`DrawSampler`: from its length on, each draw is a fresh random sample."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of draws in an epoch."""


class IndexedDataset(Dataset[Sample]):
    """Adapter for any other dataset: the index is the draw modulo the length.

    The global generators of PyTorch, NumPy and Python are seeded by seed and draw, so that augmentation is fresh in
    each epoch of training and the same in each validation, with any number of workers, and after a resume.

    Args:
        dataset: has a length, and a :class:`Sample` for each index below it.
        seed: of the global generators.

    Raises:
        UsageError: if it has no length.
    """

    def __init__(self, dataset: Dataset[Sample], seed: int) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            kind = type(dataset).__name__
            raise UsageError(f"the data are {kind}, expected a list, or a dataset with __len__ and __getitem__")
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(cast("Sized", self.dataset))

    def __getitem__(self, draw: int) -> Sample:
        """Return the sample of a draw."""
        with _seeded(self.seed, draw):
            sample = self.dataset[draw % len(self)]
        if not isinstance(sample, Sample):
            raise UsageError(
                f"{type(self.dataset).__name__} gives {type(sample).__name__}, expected lowrank_unroll.sample.Sample"
            )
        return sample


@contextmanager
def _seeded(*numbers: int) -> Iterator[None]:
    """Seed the global generators of the CPU by some numbers within the block, and restore them after it."""
    state = np.random.SeedSequence(numbers).generate_state(1)
    with isolate_rng(include_cuda=False):
        torch.default_generator.manual_seed(int(state[0]))
        np.random.seed(state)  # noqa: NPY002  datasets of users may draw from it
        random.seed(int(state[0]))
        yield
