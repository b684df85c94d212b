"""Several sources of data as one."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, cast

import numpy as np
from torch.utils.data import Dataset

from datamodules.loading.data_module import ReconstructionDataModule, Split
from datamodules.loading.drawn_datasets import DrawnDataset
from lowrank_unroll.errors import UsageError
from lowrank_unroll.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Sized


class ConcatDataModule(ReconstructionDataModule):
    """The samples of several DataModules in one training, such as real and simulated series.

    An epoch holds one epoch of each part, shuffled in training. Validation and test take one part after the other,
    ``predict`` the data of the first. Samples of different shapes need a ``batch_size`` of 1.

    Args:
        parts: DataModules of the same kind of images, of which :meth:`prepare_data` and :meth:`dataset` are used. Each
            gets a seed of its own, which follows from ``seed``, its place and the seed that it had.
        batch_size: samples in a batch of training and validation, in the place of the parts'.
        num_workers: processes that load, in the place of the parts'; 0 loads in the training process.
        seed: of everything random.

    Raises:
        ValueError: if there is no part, the dims of their images differ, or a number is too small.
    """

    def __init__(
        self, parts: list[ReconstructionDataModule], batch_size: int = 1, num_workers: int = 0, seed: int = 3407
    ) -> None:
        if not parts:
            raise ValueError("parts is [], expected at least one DataModule")
        axes = {part.image_axes for part in parts if part.image_axes is not None}
        if len(axes) > 1:
            found = " and ".join(sorted(f"({', '.join(dims)})" for dims in axes))
            raise ValueError(f"parts have images of {found}, expected the same dims")
        super().__init__(batch_size, num_workers, seed)
        self.parts = parts
        for index, part in enumerate(parts):
            part.seed = int(np.random.SeedSequence((seed, index, part.seed)).generate_state(1)[0])
        self.image_axes = next(iter(axes), None)  # type: ignore[misc]  # those of an instance here, not of a class

    def prepare_data(self) -> None:
        """Download and prepare the data of each part."""
        for part in self.parts:
            part.trainer = self.trainer
            part.prepare_data()

    def dataset(self, split: Split) -> Dataset[Sample]:
        """Return the samples of a split, one part after the other.

        Raises:
            UsageError: if the options of a part do not fit its data; names the part.
            DataError: if a file cannot be read.
        """
        parts = self.parts[:1] if split == "predict" else self.parts
        return _Concatenated([self._dataset_of(part, number, split) for number, part in enumerate(parts, 1)])

    def _dataset_of(self, part: ReconstructionDataModule, number: int, split: Split) -> Dataset[Sample]:
        part.trainer = self.trainer  # in each process; only one of a machine prepares
        try:
            return part.drawn_dataset(split)
        except UsageError as error:
            name = f"part {number}, {type(part).__name__}"
            raise UsageError(f"{name}: {error}; options of a part stand in the file of --data.parts") from error


class _Concatenated(DrawnDataset):
    """Datasets of draws, one after the other; epoch n of the whole takes the draws of epoch n of each part."""

    def __init__(self, parts: Sequence[Dataset[Sample]]) -> None:
        self.parts = parts
        self.ends = list(accumulate(len(cast("Sized", part)) for part in parts))

    def __len__(self) -> int:
        return self.ends[-1]

    def __getitem__(self, draw: int) -> Sample:
        epoch, index = divmod(draw, len(self))
        part = bisect_right(self.ends, index)
        length = len(cast("Sized", self.parts[part]))
        begin = self.ends[part] - length
        return self.parts[part][epoch * length + index - begin]
