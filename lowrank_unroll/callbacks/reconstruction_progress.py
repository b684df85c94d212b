"""Estimate and progress of the reconstruction of a large image."""

import time
from contextlib import ExitStack
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.progress import Progress
from torch import nn

from lowrank_unroll.modules import ColorCS, ReconstructionModule
from lowrank_unroll.sample import Sample
from lowrank_unroll.terminal import say

WORTH_SAYING = 5.0  # seconds
MINUTE = 60
SIDE = 128  # pixels of the part that is tried
PART = 3 * SIDE**2


class ReconstructionProgress(Callback):
    """Say how long the reconstruction of a large image will take before it begins, and show its iterations meanwhile.

    The time is that of a small part of the image, scaled to the whole. The bar of the trainer only counts images, of
    which there may be one.
    """

    def __init__(self) -> None:
        self._remove_bar = ExitStack()

    def on_predict_batch_start(self, trainer: Trainer, pl_module: ReconstructionModule, batch: Sample, *_: Any) -> None:  # type: ignore[override]
        """Say how long it will take, and show a bar."""
        self._begin(trainer, pl_module, batch)

    def on_test_batch_start(self, trainer: Trainer, pl_module: ReconstructionModule, batch: Sample, *_: Any) -> None:  # type: ignore[override]
        """Say how long it will take, and show a bar."""
        self._begin(trainer, pl_module, batch)

    def on_predict_batch_end(self, *_: Any) -> None:
        """Remove the bar."""
        self._end()

    def on_test_batch_end(self, *_: Any) -> None:
        """Remove the bar."""
        self._end()

    def on_exception(self, *_: Any) -> None:
        """Remove the bar."""
        self._end()

    def _begin(self, trainer: Trainer, module: ReconstructionModule, batch: Sample) -> None:
        watched = trainer.is_global_zero and trainer.progress_bar_callback is not None
        if not watched or not isinstance(module, ColorCS) or batch.measurement.numel() <= PART:
            return
        seconds = _expected_seconds(module, batch)
        if seconds < WORTH_SAYING:
            return
        height, width = batch.measurement.shape[-2:]
        say(f"{', '.join(batch.name)}, {width} x {height} pixels: about {_duration(seconds)}")
        bar = trainer.progress_bar_callback
        if isinstance(bar, RichProgressBar) and bar.progress is not None:
            self._show(bar.progress, _steps(module.network), module.network_calls(batch))

    def _show(self, progress: Progress, steps: list[nn.Module], calls: int) -> None:
        task = progress.add_task("Iterations", total=len(steps) * calls)
        self._remove_bar.callback(progress.remove_task, task)

        def advance(*_: Any) -> None:
            progress.advance(task)
            progress.refresh()

        for step in steps:
            self._remove_bar.callback(step.register_forward_hook(advance).remove)

    def _end(self) -> None:
        self._remove_bar.close()


def _expected_seconds(module: ColorCS, batch: Sample) -> float:
    """Time the reconstruction of the middle of an image, and scale it to the pixels of the whole."""
    top, left = ((side - min(side, SIDE)) // 2 for side in batch.measurement.shape[-2:])
    window = (slice(1), slice(None), slice(top, top + SIDE), slice(left, left + SIDE))
    part = batch._replace(measurement=batch.measurement[window], mask=batch.mask[window])
    with torch.no_grad():
        module(part)  # the first call takes longer
        start = time.perf_counter()
        module(part)
    return (time.perf_counter() - start) * batch.measurement.numel() / part.measurement.numel()


def _steps(network: nn.Module) -> list[nn.Module]:
    """Return the iterations of a network and of those that it starts from; the network where it has none."""
    stacks = [getattr(module, "iterations", None) for module in network.modules()]
    return [iteration for stack in stacks if isinstance(stack, nn.ModuleList) for iteration in stack] or [network]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 2 * MINUTE else f"{seconds / MINUTE:.0f} minutes"
