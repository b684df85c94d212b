"""Time singular value thresholding, forward and backward: ours, autograd of torch.linalg.svd, the published formula.

    python benchmarks/svt_speed.py                 the named sizes, and peak memory
    python benchmarks/svt_speed.py --grid          the whole grid, to svt_speed.csv and svt_speed.png
    python benchmarks/svt_speed.py --device cuda   also replayed as a CUDA graph, without what launching takes

All methods run alternately in one process, so that a busy machine slows them alike; the median of the repeats counts.
"""

import argparse
import csv
import itertools
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from published_formula import published_threshold
from resident_memory import resident_megabytes
from rich.console import Console
from rich.progress import track
from rich.table import Table
from step_timing import Step, milliseconds
from torch import Tensor

from lowrank_unroll.linalg import native, singular_value_threshold

PUBLISHED_LIMIT = 3e9  # bytes of its m x m projectors, above which the published formula is left out
GRID_LIMIT = 2**21  # values in a batch
Method = Callable[[Tensor, float], Tensor]


class Size(NamedTuple):
    """A batch of m x n matrices."""

    batch: int
    m: int
    n: int
    dtype: torch.dtype

    def __str__(self) -> str:
        """As in tables."""
        return f"{self.batch} x {self.m} x {self.n} {str(self.dtype).removeprefix('torch.')}"


NAMED = [
    Size(1, 8, 8, torch.float32),
    Size(1, 16, 16, torch.float32),
    Size(1, 32, 32, torch.float32),
    Size(1, 16, 16, torch.complex64),
    Size(1, 64, 64, torch.float32),
    Size(384, 32, 32, torch.float32),
    Size(16, 96, 96, torch.complex64),
    Size(1, 128, 128, torch.complex64),
    Size(16, 128, 128, torch.complex64),
    Size(8, 256, 256, torch.complex64),
    Size(1, 16384, 16, torch.complex64),
    Size(1, 40000, 30, torch.complex64),
    Size(4096, 16, 12, torch.float32),  # groups of similar pixels and patches, and blocks of series
    Size(4096, 24, 108, torch.complex64),
    Size(4096, 64, 16, torch.complex64),
]
MORE_ON_A_GPU = [
    Size(4096, 32, 32, torch.float32),
    Size(16384, 16, 12, torch.float32),
    Size(65536, 16, 12, torch.float32),
    Size(200, 256, 12, torch.complex64),
    Size(16, 64, 64, torch.float32),
    Size(1, 256, 256, torch.float32),
]


def autograd_threshold(A: Tensor, threshold: float) -> Tensor:
    """Shrink by autograd through ``torch.linalg.svd``, as one writes it without this package."""
    U, S, Vh = torch.linalg.svd(A, full_matrices=False)
    return (U * (S - threshold).relu()[..., None, :]) @ Vh


METHODS: dict[str, Method] = {
    "published": published_threshold,
    "autograd": autograd_threshold,
    "ours": singular_value_threshold,
}


def grid() -> Iterator[Size]:
    """The sizes of the grid that fit."""
    sizes = itertools.product(
        (8, 16, 32, 64, 128, 256, 512), (1, 16, 128, 1024), (1, 16, 256, 4096), (torch.float32, torch.complex64)
    )
    for n, batch, aspect, dtype in sizes:
        if batch * n * aspect * n <= GRID_LIMIT:
            yield Size(batch, n * aspect, n, dtype)


def published_fits(size: Size) -> bool:
    """Return whether the published formula's projectors fit in memory."""
    return size.batch * size.m**2 * 8 * 3 <= PUBLISHED_LIMIT or size == Size(1, 16384, 16, torch.complex64)


def measure(size: Size, device: str, seconds: float) -> dict[str, float]:
    """Milliseconds of forward and backward of each method, and of forward alone."""
    torch.manual_seed(0)
    A = torch.randn(size.batch, size.m, size.n, dtype=size.dtype, device=device, requires_grad=True)
    G = torch.randn_like(A)
    threshold = 0.12 * float(torch.linalg.matrix_norm(A.detach(), 2).max())

    def step_of(method: Method) -> Step:
        def step() -> None:
            A.grad = None
            method(A, threshold).backward(G)

        return step

    def forward_of(method: Method) -> Step:
        return lambda: method(A.detach(), threshold)

    steps = {name: step_of(method) for name, method in METHODS.items() if name != "published" or published_fits(size)}
    steps |= {f"{name}, forward": forward_of(METHODS[name]) for name in ("autograd", "ours")}
    if device == "cuda" and native.supports(A.detach() if size.m >= size.n else A.detach().mH):
        steps["replayed"] = captured(steps["ours"])
    first = {name: milliseconds(step, device) for name, step in steps.items()}
    repeats = max(3, min(200, int(1e3 * seconds / sum(first.values()))))
    times = {name: [] for name in steps}
    for _ in range(repeats):
        for name, step in steps.items():
            # The published formula takes seconds where it is slow: once more is enough there.
            if len(times[name]) < 1 or first[name] < 1e3 * seconds:
                times[name].append(milliseconds(step, device))
    return {name: median(values) for name, values in times.items()}


def captured(step: Step) -> Step:
    """Replay a step as a CUDA graph."""
    with torch.cuda.stream(torch.cuda.Stream()):
        step()  # kernels are loaded when they are first called
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def peak_memory(name: str, size: Size) -> None:
    """Print the megabytes that a forward and backward needs above its input; in a process of its own."""
    torch.manual_seed(0)
    A = torch.randn(size.batch, size.m, size.n, dtype=size.dtype, requires_grad=True)
    G = torch.randn_like(A)
    small = torch.randn(1, 64, 8, dtype=size.dtype, requires_grad=True)
    METHODS[name](small, 0.1).backward(torch.ones_like(small))  # load the libraries first
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = resident_megabytes("VmRSS")
    METHODS[name](A, 10.0).backward(G)
    print(resident_megabytes("VmHWM") - before)  # noqa: T201


def memory_of(name: str, size: Size) -> float | None:
    """Megabytes above the input, None if the process is killed or has no memory left."""
    words = [sys.executable, __file__, "--memory", name, *map(str, size[:3]), str(size.dtype).removeprefix("torch.")]
    finished = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    return float(finished.stdout) if finished.returncode == 0 else None


def show(rows: dict[Size, dict[str, float]], memory: dict[Size, dict[str, float | None]]) -> None:
    """Print times and ratios side by side."""
    table = Table(title="Forward + backward, ms; ratios are how many times faster ours is, than autograd forward alone")
    methods = [*METHODS, *(["replayed"] if any("replayed" in times for times in rows.values()) else [])]
    columns = [
        *methods,
        "published / ours",
        "autograd / ours",
        "forward alone",
        *(f"MB {name}" for name in ("autograd", "ours")),
    ]
    for column in ("size", *columns):
        table.add_column(column, justify="left" if column == "size" else "right")
    for size, times in rows.items():
        cells = [f"{times[name]:.2f}" if name in times else "-" for name in methods]
        cells += [f"{times[n] / times['ours']:.2f}" if n in times else "-" for n in ("published", "autograd")]
        cells.append(f"{times['autograd, forward'] / times['ours, forward']:.2f}")
        used = memory.get(size, {})
        cells += [f"{used[name]:.0f}" if used.get(name) is not None else "-" for name in ("autograd", "ours")]
        table.add_row(str(size), *cells)
    Console(width=160).print(table)


def save(rows: dict[Size, dict[str, float]], folder: Path) -> None:
    """Write the times as CSV and the ratios as a plot."""
    with (folder / "svt_speed.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["batch", "m", "n", "dtype", *(f"{name}_ms" for name in METHODS)])
        writer.writerows([*size, *(times.get(name) for name in METHODS)] for size, times in rows.items())
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, dtype in zip(axes, (torch.float32, torch.complex64), strict=True):
        for n in sorted({size.n for size in rows}):
            chosen = [size for size in rows if size.n == n and size.dtype == dtype]
            work = [size.batch * size.m * size.n for size in chosen]
            axis.plot(work, [rows[s]["autograd"] / rows[s]["ours"] for s in chosen], "o", label=f"n = {n}")
        axis.axhline(1, color="black", linewidth=0.8)
        axis.set(xscale="log", yscale="log", xlabel="values in the batch", title=str(dtype).removeprefix("torch."))
    axes[0].set_ylabel("times faster than autograd")
    axes[0].set_yticks([0.5, 1, 2, 5, 10], labels=["0.5", "1", "2", "5", "10"])
    axes[0].minorticks_off()
    axes[1].legend(fontsize=8, ncols=2)
    figure.savefig(folder / "svt_speed.png", dpi=120)


def main() -> None:
    """Parse the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--grid", action="store_true", help="measure the whole grid")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--seconds", type=float, default=2.0, help="about how long to measure each size")
    parser.add_argument("--folder", type=Path, default=Path(), help="where --grid writes")
    parser.add_argument("--memory", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        name, batch, m, n, dtype = arguments.memory
        peak_memory(name, Size(int(batch), int(m), int(n), getattr(torch, dtype)))
        return
    named = NAMED + (MORE_ON_A_GPU if arguments.device == "cuda" else [])
    sizes = list(grid()) if arguments.grid else named
    name = torch.cuda.get_device_name() if arguments.device == "cuda" else platform.machine()
    Console().print(f"{name}, torch {torch.__version__}, {torch.get_num_threads()} threads")
    rows = {size: measure(size, arguments.device, arguments.seconds) for size in track(sizes)}
    named_on_cpu = NAMED if not arguments.grid and arguments.device == "cpu" else []
    memory = {size: {name: memory_of(name, size) for name in ("autograd", "ours")} for size in track(named_on_cpu)}
    show(rows, memory)
    if arguments.grid:
        save(rows, arguments.folder)


if __name__ == "__main__":
    main()
