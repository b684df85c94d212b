"""Several sources of data as one."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, cast

from torch.utils.data import Dataset

from datamodules.loading.data_module import ReconstructionDataModule, Split
from datamodules.loading.drawn_datasets import DrawnDataset
from lowrank_unroll.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Sized


class ConcatDataModule(ReconstructionDataModule):
    """The samples of several DataModules in one training, such as real and simulated series.

    In an epoch each part gives as many samples as in one of its own; those of training are shuffled. Samples of
    different shapes need a ``batch_size`` of 1. ``predict`` reads the data of the first part.

    Args:
        parts: DataModules of the same kind of images. What is random in their samples depends on their own seeds;
            ``batch_size`` and ``num_workers`` are those of this DataModule.
        batch_size: samples in a batch of training and validation.
        num_workers: processes that load; 0 loads in the training process.
        seed: of shuffling.

    Raises:
        ValueError: if there is no part, the dims of their images differ, or a number is too small.
    """

    def __init__(
        self, parts: list[ReconstructionDataModule], batch_size: int = 1, num_workers: int = 0, seed: int = 3407
    ) -> None:
        if not parts:
            raise ValueError("parts is [], expected at least one DataModule")
        axes = {part.image_axes for part in parts}
        if len(axes) > 1:
            found = " and ".join(sorted(f"({', '.join(dims or ())})" for dims in axes))
            raise ValueError(f"parts have images of {found}, expected the same dims")
        super().__init__(batch_size, num_workers, seed)
        self.parts = parts
        self.image_axes = parts[0].image_axes  # type: ignore[misc]  # those of an instance here, not of a class

    def prepare_data(self) -> None:
        """Download and prepare the data of each part."""
        for part in self.parts:
            part.trainer = self.trainer
            part.prepare_data()

    def dataset(self, split: Split) -> Dataset[Sample]:
        """Return the samples of a split, one part after the other.

        Raises:
            UsageError: if the options of a part do not fit its data.
            DataError: if a file cannot be read.
        """
        parts = self.parts[:1] if split == "predict" else self.parts
        return _Concatenated([part.drawn_dataset(split) for part in parts])


class _Concatenated(DrawnDataset):
    """Datasets of draws, one after the other; a draw of the n-th epoch is one of the n-th epoch of its part."""

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
