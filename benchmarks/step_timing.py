"""The time of a step, by the clock of the device that computes it."""

import time
from collections.abc import Callable

import torch

Step = Callable[[], None]


def milliseconds(step: Step, device: str) -> float:
    """Of one step; on a GPU by its own clock."""
    if device == "cuda":
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        step()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end)
    begin = time.perf_counter()
    step()
    return 1e3 * (time.perf_counter() - begin)
