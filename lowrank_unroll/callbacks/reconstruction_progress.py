"""Expected time and progress of the reconstruction of a large image."""

import time
from contextlib import ExitStack
from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.progress import Progress
from torch import Tensor, nn

from lowrank_unroll.modules import ReconstructionModule
from lowrank_unroll.sample import Sample
from lowrank_unroll.terminal import say

SHORTEST_ANNOUNCED = 5.0  # seconds
MINUTE = 60
SIDE = 128  # pixels of the crop that is timed
SMALLEST = 3 * SIDE**2  # values of a measurement above which its reconstruction is timed


@runtime_checkable
class Croppable(Protocol):
    """A module whose measurements can be cropped like images, as :class:`~lowrank_unroll.modules.ColorCS`."""

    network: nn.Module

    def __call__(self, batch: Sample) -> Tensor:
        """Reconstruct a batch."""

    def crop(self, batch: Sample, side: int) -> Sample:
        """Return the middle of the first image of a batch, at most ``side`` pixels a side, as a batch."""

    def network_calls(self, batch: Sample) -> int:
        """Return how many times the network is called to reconstruct a batch."""


class ReconstructionProgress(Callback):
    """Print the expected time of the reconstruction of a large image, and show its iterations in a bar.

    The time is measured on a small crop and scaled to the whole image. The bar of the trainer counts images only, and
    there may be a single one. Modules without a method ``crop`` are left alone.
    """

    def __init__(self) -> None:
        self._remove_bar = ExitStack()

    def on_predict_batch_start(self, trainer: Trainer, pl_module: ReconstructionModule, batch: Sample, *_: Any) -> None:  # type: ignore[override]
        """Print the expected time, and show a bar."""
        self._begin(trainer, pl_module, batch)

    def on_test_batch_start(self, trainer: Trainer, pl_module: ReconstructionModule, batch: Sample, *_: Any) -> None:  # type: ignore[override]
        """Print the expected time, and show a bar."""
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
        is_shown = trainer.is_global_zero and trainer.progress_bar_callback is not None
        if not is_shown or not isinstance(module, Croppable) or batch.measurement.numel() <= SMALLEST:
            return
        seconds = _expected_seconds(module, batch)
        if seconds < SHORTEST_ANNOUNCED:
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


def _expected_seconds(module: Croppable, batch: Sample) -> float:
    """Time the reconstruction of the middle of an image, and scale it to the pixels of the whole."""
    crop = module.crop(batch, SIDE)
    with torch.no_grad():
        module(crop)  # the first call takes longer
        start = time.perf_counter()
        module(crop)
    return (time.perf_counter() - start) * batch.measurement.numel() / crop.measurement.numel()


def _steps(network: nn.Module) -> list[nn.Module]:
    """Return the iterations of a network and of those that it starts from; the network where it has none."""
    stacks = [getattr(module, "iterations", None) for module in network.modules()]
    return [iteration for stack in stacks if isinstance(stack, nn.ModuleList) for iteration in stack] or [network]


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 2 * MINUTE else f"{seconds / MINUTE:.0f} minutes"
