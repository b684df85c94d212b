"""Time of `fit` outside the forward and backward pass: loading, logging, checks, Adam, Lightning."""

import tempfile
from pathlib import Path

import lightning as L
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.profilers import SimpleProfiler
from step_cases import Case, network_of

from datamodules import CinePhantom, ReconstructionDataModule, SamplePhotos
from lowrank_unroll.modules import ColorCS, DynamicMRI

LOADING = "train_dataloader_next"
PASSES = ("SingleDeviceStrategy.training_step", "SingleDeviceStrategy.backward")


def overhead(case: Case, device: str, steps: int) -> tuple[float, float]:
    """The shares of the time of an epoch that go to loading, and to all else that is no pass through the network."""
    with tempfile.TemporaryDirectory() as folder:
        profiler = SimpleProfiler(folder, "profile")
        trainer = L.Trainer(
            accelerator="gpu" if device == "cuda" else "cpu",
            devices=1,
            precision=case.precision,
            max_steps=steps + 1,
            limit_val_batches=0,
            log_every_n_steps=1,
            profiler=profiler,
            logger=CSVLogger(folder),
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(
            (ColorCS if case.task == "colour" else DynamicMRI)(
                network_of(case)(iterations=case.iterations), compile=case.compiled
            ),
            _data(case, steps, Path(folder)),
        )
    # The first step, and the first batch, also load libraries and data.
    loading = sum(_durations(profiler, LOADING)[1 : steps + 1])
    passes = sum(sum(_durations(profiler, name)[1:]) for name in PASSES)
    batches = sum(_durations(profiler, "run_training_batch")[1:])
    return loading / (loading + batches), (batches - passes) / (loading + batches)


def _durations(profiler: SimpleProfiler, name: str) -> list[float]:
    (durations,) = (values for action, values in profiler.recorded_durations.items() if action.endswith(name))
    return durations


def _data(case: Case, steps: int, root: Path) -> ReconstructionDataModule:
    if case.task == "colour":
        return SamplePhotos(batch_size=case.batch, patch_size=case.size[-1], patches_per_image=case.batch * (steps + 2))
    return CinePhantom(
        case.size,
        train_series=(steps + 2) * case.batch,
        val_series=1,
        root=root,
        coils=case.coils,
        batch_size=case.batch,
    )
