"""Time of a computation on any device."""

import time
from types import TracebackType
from typing import Self

import torch


class Stopwatch:
    """A context that measures the time of its body, including the work that it leaves to an accelerator.

    Args:
        device: where the work is done.
        running: False measures nothing and does not wait for the accelerator: ``seconds`` stays 0.
    """

    def __init__(self, device: torch.device, *, running: bool = True) -> None:
        self.device = device
        self.running = running
        self.seconds = 0.0

    def __enter__(self) -> Self:
        if self.running:
            self._begin = self._now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self.running:
            self.seconds = self._now() - self._begin

    def _now(self) -> float:
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)
        return time.perf_counter()
