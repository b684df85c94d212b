"""Datasets as they are sampled: each draw is a function of its number, whatever a dataset does with indices."""

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

if TYPE_CHECKING:
    from collections.abc import Sized


class DrawnDataset(Dataset[Sample], ABC):
    """A dataset that is asked for draws, see :class:`Draws`: from its length on each is another sample at random."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of draws in an epoch."""


class IndexedDataset(Dataset[Sample]):
    """Any other dataset: a draw modulo its length is the index that it is asked for.

    What it draws at random meanwhile, by the global generators of PyTorch, NumPy and Python, depends on seed and draw
    alone: fresh in each epoch of training, the same in each validation, with any number of workers, and after a resume.

    Args:
        dataset: has a length, and a :class:`Sample` for each index below it.
        seed: of what it draws.

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
        """The sample of a draw."""
        with _seeded(self.seed, draw):
            sample = self.dataset[draw % len(self)]
        if not isinstance(sample, Sample):
            raise UsageError(
                f"{type(self.dataset).__name__} gives {type(sample).__name__}, expected lowrank_unroll.sample.Sample"
            )
        return sample


@contextmanager
def _seeded(*numbers: int) -> Iterator[None]:
    """Let the global generators of the CPU depend on some numbers in the block, and go on after it as before."""
    state = np.random.SeedSequence(numbers).generate_state(1)
    with isolate_rng(include_cuda=False):
        torch.default_generator.manual_seed(int(state[0]))
        np.random.seed(state)  # noqa: NPY002  datasets of users may draw from it
        random.seed(int(state[0]))
        yield
