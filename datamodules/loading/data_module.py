"""Base of all DataModules: loaders of typed samples."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import lightning as L
from torch.utils.data import DataLoader, Dataset

from datamodules.loading.drawn_datasets import DrawnDataset, IndexedDataset
from datamodules.loading.resumable_loader import ResumableLoader, ignore_interrupts
from datamodules.loading.samplers import DrawSampler, UnrepeatedSampler
from lowrank_unroll.checks import check_at_least
from lowrank_unroll.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Sized

Split = Literal["train", "val", "test", "predict"]
# Part of the random seed, so that splits differ.
SPLITS: dict[Split, int] = {"train": 0, "val": 1, "test": 2}
STAGES: dict[str, tuple[Split, ...]] = {
    "fit": ("train", "val"),
    "validate": ("val",),
    "test": ("test",),
    "predict": ("predict",),
}


class ReconstructionDataModule(L.LightningDataModule, ABC):
    """Load samples for training in batches and for test and prediction one by one, since those differ in size.

    A dataset implements :meth:`dataset`. Everything random in a sample is a function of ``seed`` and of the index it is
    asked for (see :class:`DrawSampler`), so runs repeat, and resume exactly from any batch, with any number of workers.

    Several processes share the samples. In validation and test each sample counts once, however many processes there
    are.

    Args:
        batch_size: samples in a batch of training and validation.
        num_workers: processes that load; 0 loads in the training process.
        seed: of shuffling, crops and masks.

    Attributes:
        image_axes: names of the dims of an image, without the batch; a LightningModule for others is refused.

    Raises:
        ValueError: if ``batch_size`` is below 1, or another number is negative.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = None

    def __init__(self, batch_size: int = 128, num_workers: int = 0, seed: int = 3407) -> None:
        check_at_least(1, batch_size=batch_size)
        check_at_least(0, num_workers=num_workers, seed=seed)
        super().__init__()
        self.allow_zero_length_dataloader_with_multiple_devices = True  # in predict, which synchronizes no processes
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.datasets: dict[Split, Dataset[Sample]] = {}

    @property
    def stage(self) -> str | None:
        """The stage of the trainer, such as fit or test; None without one, as in ``lowrank-unroll prepare``."""
        return None if self.trainer is None else self.trainer.state.fn

    def splits_to_prepare(self) -> tuple[Split, ...]:
        """Return the splits whose data the stage needs, "predict" apart; all without a stage, as in `prepare`."""
        needed = SPLITS if self.stage is None else STAGES[self.stage]
        return tuple(split for split in SPLITS if split in needed)

    @abstractmethod
    def dataset(self, split: Split) -> Dataset[Sample]:
        """Return the samples of a split, as any dataset with ``__len__`` and ``__getitem__``.

        It is given indices below its length, see :class:`IndexedDataset`; a :class:`DrawnDataset` is given draws.
        """

    def setup(self, stage: str) -> None:
        """Build the datasets of a stage: fit, validate, test or predict."""
        for split in STAGES[stage]:
            if split not in self.datasets:
                self.datasets[split] = self.drawn_dataset(split)

    def drawn_dataset(self, split: Split) -> Dataset[Sample]:
        """Return the samples of a split, as a dataset that takes draws, see :class:`DrawSampler`."""
        dataset = self.dataset(split)
        return dataset if isinstance(dataset, DrawnDataset) else IndexedDataset(dataset, self.seed)

    def train_dataloader(self) -> DataLoader[Sample]:
        """Return a loader of shuffled batches."""
        processes, rank = self._processes()
        sampler = DrawSampler(self.datasets["train"], num_replicas=processes, rank=rank, seed=self.seed)
        return ResumableLoader(self.datasets["train"], sampler=sampler, **self._loading(self.batch_size))

    def val_dataloader(self) -> DataLoader[Sample]:
        """Return a loader of batches in order."""
        return self._evaluation_loader("val", self.batch_size)

    def test_dataloader(self) -> DataLoader[Sample]:
        """Return a loader of single samples in order."""
        return self._evaluation_loader("test", 1)

    def predict_dataloader(self) -> DataLoader[Sample]:
        """Return a loader of single samples in order."""
        sampler = UnrepeatedSampler(self.datasets["predict"], *self._processes())
        return DataLoader(self.datasets["predict"], sampler=sampler, **self._loading(1))

    def _evaluation_loader(self, split: Split, batch_size: int) -> DataLoader[Sample]:
        processes, rank = self._processes()
        if len(cast("Sized", self.datasets[split])) < processes:
            # Every process takes all samples: the means are the same, and Lightning would wait for a process with none.
            processes, rank = 1, 0
        sampler = UnrepeatedSampler(self.datasets[split], processes, rank)
        return DataLoader(self.datasets[split], sampler=sampler, **self._loading(batch_size))

    def _processes(self) -> tuple[int, int]:
        """Return the number of processes, and the rank of this one."""
        return (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)

    def _loading(self, batch_size: int) -> dict[str, Any]:
        return {
            "batch_size": batch_size,
            "collate_fn": Sample.stack,
            "num_workers": self.num_workers,
            "persistent_workers": self.num_workers > 0,
            "pin_memory": self.trainer is not None and self.trainer.strategy.root_device.type == "cuda",
            "worker_init_fn": ignore_interrupts,
        }
