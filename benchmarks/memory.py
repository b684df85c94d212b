"""Peak memory and time of a training step, with and without recomputing what is inside each iteration.

    MALLOC_MMAP_THRESHOLD_=200000 python benchmarks/memory.py
    python benchmarks/memory.py --device cuda

The variable has glibc return freed blocks to the system; otherwise it keeps them, and the peak is about the allocator.

Every row is a process of its own. Memory is what the step adds to the process (its peak resident size, or the peak that
CUDA has allocated): activations, states, gradients and workspaces, but not Python and libraries.
"""

import argparse
import multiprocessing
import resource
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lowrank_unroll.networks import T2LRNet, TLRNet, UnrolledNetwork
from lowrank_unroll.operators import Fourier, LinearOperator, Mask, SingleCoil

NETWORKS: dict[str, Callable[..., UnrolledNetwork]] = {
    "TLRNet, 128 x 3 x 32 x 32": TLRNet,
    "T2LRNet, 16 x 128 x 128": T2LRNet,
}
MEGABYTE = 1e6


class Cost(NamedTuple):
    """Of one step: memory in megabytes, time in seconds."""

    memory: float
    time: float


def problem(network: str, device: str) -> tuple[Tensor, LinearOperator]:
    """A random measurement at the paper's size, and its operator."""
    generator = torch.Generator().manual_seed(0)
    if network.startswith("TLRNet"):
        operator: LinearOperator = Mask((torch.rand(128, 3, 32, 32, generator=generator) < 0.4).to(device))  # noqa: PLR2004
        return operator(torch.rand(128, 3, 32, 32, generator=generator).to(device)), operator
    mask = torch.rand(1, 1, 16, 128, 128, generator=generator) < 0.2  # noqa: PLR2004
    operator = Mask(mask.to(device)) @ Fourier() @ SingleCoil()
    return operator(torch.randn(1, 16, 128, 128, dtype=torch.complex64, generator=generator).to(device)), operator


def cost(name: str, iterations: int, checkpointed: bool, device: str) -> Cost:
    """Measure one training step."""
    network = NETWORKS[name](iterations=iterations, checkpoint_iterations=checkpointed).to(device)
    measurement, operator = problem(name, device)
    before = peak(device)
    began = time.perf_counter()
    network(measurement, operator).abs().square().mean().backward()
    after = peak(device)  # waits for the device
    return Cost((after - before) / MEGABYTE, time.perf_counter() - began)


def peak(device: str) -> float:
    """The most memory that this process has ever had, in bytes."""
    if device == "cuda":
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--iterations", type=int, nargs="+", default=[5, 10, 20, 40])
    arguments = parser.parse_args()
    table = Table("network", "iterations", "memory, MB", "checkpointed", "ratio", "time, s", "checkpointed", "ratio")
    for name in NETWORKS:
        for iterations in arguments.iterations:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), max_tasks_per_child=1) as pool:
                plain, checkpointed = (
                    pool.submit(cost, name, iterations, choice, arguments.device).result() for choice in (False, True)
                )
            numbers = [
                f"{number:.{digits}f}"
                for before, after, digits in zip(plain, checkpointed, (0, 1), strict=True)
                for number in (before, after)
            ]
            ratios = [f"{after / before:.2f}" for before, after in zip(plain, checkpointed, strict=True)]
            table.add_row(name, str(iterations), *numbers[:2], ratios[0], *numbers[2:], ratios[1])
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
