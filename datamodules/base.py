"""The DataModule that every dataset extends: loaders of typed samples."""

from abc import ABC, abstractmethod
from typing import Literal

import lightning as L
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from datamodules.draws import Draws
from lowrank_unroll.sample import Sample

Split = Literal["train", "val", "test", "predict"]
STAGES: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}


class ReconstructionDataModule(L.LightningDataModule, ABC):
    """Load samples for training in batches and for test and prediction one by one, since those differ in size.

    A dataset implements :meth:`dataset`. Everything random in a sample is a function of ``seed`` and of the index it is
    asked for (see :class:`Draws`), so runs repeat, and resume exactly from the end of an epoch, with any number of
    workers.

    Args:
        batch_size: samples in a batch of training and validation.
        num_workers: processes that load; 0 loads in the training process.
        seed: of shuffling, crops and masks.
    """

    def __init__(self, batch_size: int = 128, num_workers: int = 0, seed: int = 3407) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.datasets: dict[Split, Dataset[Sample]] = {}

    @abstractmethod
    def dataset(self, split: Split) -> Dataset[Sample]:
        """The samples of a split; a training set must also take draws, indices beyond its length."""

    def setup(self, stage: str) -> None:
        """Build the datasets of a stage: fit, validate, test or predict."""
        for split in STAGES[stage]:
            if split not in self.datasets:
                self.datasets[split] = self.dataset(split)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Shuffled batches."""
        dataset = self.datasets["train"]
        world_size, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        return self._loader(
            "train", self.batch_size, Draws(dataset, num_replicas=world_size, rank=rank, seed=self.seed)
        )

    def val_dataloader(self) -> DataLoader[Sample]:
        """Batches in order."""
        return self._loader("val", self.batch_size)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Single samples in order."""
        return self._loader("test", 1)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Single samples in order."""
        return self._loader("predict", 1)

    def _loader(self, split: Split, batch_size: int, sampler: Sampler[int] | None = None) -> DataLoader[Sample]:
        return DataLoader(
            self.datasets[split],
            batch_size=batch_size,
            sampler=sampler,
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            pin_memory=self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
        )


def collate(samples: list[Sample]) -> Sample:
    """Stack samples into a batch; a field that is None in every sample stays None."""
    fields = zip(*samples, strict=True)
    return Sample._make(None if values[0] is None else default_collate(list(values)) for values in fields)
