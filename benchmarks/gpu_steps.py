"""Time training steps on a GPU, kernel by kernel and replayed as a CUDA graph, and say what bounds them.

    python benchmarks/gpu_steps.py

The median of the repeats counts, by the GPU's own clock. Operations are those of convolutions and products of matrices,
which PyTorch counts; shares are of the time that the kernels take on the GPU.
"""

import argparse
import warnings
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from step_timing import Step, milliseconds
from torch import nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from lowrank_unroll.modules import ColorCS, DynamicMRI, ReconstructionModule
from lowrank_unroll.networks import (
    LocallyLowRankNet,
    LocallyLowRankRecon,
    LplusSNet,
    NonLocalLowRankNet,
    SLRNet,
    T2LRNet,
    TLRNet,
)
from lowrank_unroll.operators import SampledFourier, coil_operator
from lowrank_unroll.runs.cuda_graphs import CUDAGraphs, Reconstruct
from lowrank_unroll.sample import Sample

KINDS = {
    "convolution": ("conv", "cudnn", "wgrad", "dgrad", "fprop", "xmma"),
    "SVT": ("factors", "first_derivative", "eigen", "syev", "heev", "gesvd"),
    "FFT": ("fft",),
}
RATIO = 0.2


class Case(NamedTuple):
    """A network and the batches that it trains on."""

    name: str
    network: Callable[[], nn.Module]
    sizes: tuple[tuple[int, ...], ...]
    coils: int | None = None


def locally_low_rank() -> nn.Module:
    """The recommended network for series, as it was trained for the box."""
    return LocallyLowRankNet(24, 6, start=LocallyLowRankRecon())


CASES = (
    Case("LocallyLowRankNet", locally_low_rank, tuple((batch, 12, 64, 64) for batch in (1, 4, 8, 16, 32))),
    Case("LocallyLowRankNet, 8 coils", locally_low_rank, ((8, 12, 64, 64),), 8),
    Case("NonLocalLowRankNet", lambda: NonLocalLowRankNet(features=32), tuple((b, 3, 64, 64) for b in (4, 16, 32, 64))),
    Case("TLRNet", TLRNet, tuple((batch, 3, 32, 32) for batch in (16, 64, 128, 512))),
    Case("T2LRNet", T2LRNet, ((1, 16, 128, 128),)),
    Case("LplusSNet", LplusSNet, ((1, 16, 128, 128),)),
    Case("SLRNet", SLRNet, ((1, 16, 128, 128),)),
)


def problem(case: Case, size: tuple[int, ...]) -> tuple[ReconstructionModule, Sample]:
    """A module in training, and a random batch for it."""
    torch.manual_seed(0)
    batch, *_, height, width = size
    network, ones = case.network(), torch.ones(batch)
    if network.image_is_complex:
        target = torch.randn(size, dtype=torch.complex64, device="cuda")
        target = target + 3 * target.mean(1, keepdim=True)
        coils = None
        if case.coils is not None:
            coils = torch.randn(batch, case.coils, 1, height, width, dtype=torch.complex64, device="cuda")
            coils = coils / coils.abs().square().sum(1, keepdim=True).sqrt()
        mask = torch.rand(batch, 1, *size[1:], device="cuda") < RATIO
        kspace = (SampledFourier(mask) @ coil_operator(coils))(target)
        return DynamicMRI(network).cuda().train(), Sample(kspace, target, mask, coils, ones, "", "")
    target = torch.rand(size, device="cuda")
    mask = torch.rand_like(target) < RATIO
    return ColorCS(network).cuda().train(), Sample(target * mask, target, mask, None, ones, "", "")


def step_of(module: ReconstructionModule, reconstruct: Reconstruct, batch: Sample) -> Step:
    """A training step."""
    optimiser = torch.optim.Adam(module.network.parameters())

    def step() -> None:
        optimiser.zero_grad()
        image, penalty = reconstruct(batch)
        ((image - batch.target).abs().square().mean() + penalty).backward()
        optimiser.step()

    return step


def typical_milliseconds(step: Step, repeats: int) -> float:
    """The median time of a step, after two that load what it needs."""
    return median([milliseconds(step, "cuda") for _ in range(2 + repeats)][2:])


def kernels_of(step: Step) -> tuple[int, float, dict[str, float]]:
    """Return the number of kernels of a step, the milliseconds of GPU time, and the share of it of each kind."""
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiler:
        step()
        torch.cuda.synchronize()
    events = [event for event in profiler.key_averages() if event.self_device_time_total > 0]
    total = sum(event.self_device_time_total for event in events)
    shares = {
        kind: sum(e.self_device_time_total for e in events if any(word in e.key.lower() for word in words)) / total
        for kind, words in KINDS.items()
    }
    return sum(event.count for event in events), total / 1e3, shares


def row(case: Case, size: tuple[int, ...], repeats: int) -> Iterator[str]:
    """Measure a case, and yield the results as text."""
    module, batch = problem(case, size)
    step = step_of(module, module.reconstruct, batch)
    torch.cuda.reset_peak_memory_stats()
    alone = typical_milliseconds(step, repeats)
    memory = torch.cuda.max_memory_allocated() / 2**30
    count, busy, shares = kernels_of(step)
    with FlopCounterMode(display=False) as counter:
        step()
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        replayed = typical_milliseconds(step_of(module, CUDAGraphs(module.network, module.reconstruct), batch), repeats)
    captured = not any("CUDA graphs" in str(complaint.message) for complaint in complaints)
    fastest = min(alone, replayed) if captured else alone
    yield from (" x ".join(map(str, size)), f"{count}", f"{alone:.1f}", f"{replayed:.1f}" if captured else "-")
    yield from (f"{busy:.1f}", f"{1e3 * size[0] / fastest:.0f}", f"{counter.get_total_flops() / fastest / 1e9:.2f}")
    yield from (*(f"{share:.0%}" for share in shares.values()), f"{memory:.1f}")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="steps of each kind")
    arguments = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("needs a GPU, and PyTorch for CUDA")
    table = Table(title=f"Training steps, {torch.cuda.get_device_name()}, torch {torch.__version__}")
    for column in ("network", "batch", "kernels", "ms alone", "ms replayed", "ms GPU", "samples / s", "TFLOP / s"):
        table.add_column(column, justify="left" if column in {"network", "batch"} else "right")
    for column in (*KINDS, "GiB"):
        table.add_column(column, justify="right")
    console = Console(width=150)
    for case in CASES:
        for size in case.sizes:
            console.print(f"{case.name}, {size}", style="dim")
            table.add_row(case.name, *row(case, size, arguments.repeats))
    console.print(table)


if __name__ == "__main__":
    main()
