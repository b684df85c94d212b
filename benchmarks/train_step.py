"""Time a training step of our networks, beside the same networks as one writes them from the papers.

    python benchmarks/train_step.py                 the table, train_step.csv and train_step.png
    python benchmarks/train_step.py --quick         tiny sizes and no memory, to see that it runs
    python benchmarks/train_step.py --device cuda

Both run alternately in one process, from the same weights, so that a busy machine slows them alike; the median of the
ratios of neighbouring steps counts. A profile of one step tells the share of each kind of operation, a short `fit` what
Lightning, logging and loading add, and a fresh process the peak of memory.
"""

import argparse
import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from rich.console import Console
from rich.table import Table
from step_cases import FULL, NAMES, QUICK, Case, Precision, problem_of, steps_of
from step_memory import peak_megabytes
from step_overhead import overhead
from step_timing import milliseconds
from torch import Tensor
from torch.profiler import ProfilerActivity, profile, record_function

from lowrank_unroll.linalg import native

KINDS = {
    "convolution": ("mkldnn_convolution", "slow_conv", "cudnn_convolution", "convolution_backward"),
    "SVT": ("_linalg_eigh", "_linalg_svd", "gram_svd", "_SpectralFunction", "_LargestSingularValue"),
    "FFT": ("_fft_c2c",),
}

# How far apart our reconstruction and the naive one may be, relative to it.
AGREEMENT: dict[Precision, float] = {"32-true": 1e-4, "bf16-mixed": 1e-3}


class Row(NamedTuple):
    """The measurements of a case; shares are of a step, memory is above the network's own."""

    case: Case
    ours_ms: float
    naive_ms: float
    ratio: float
    convolution: float | None = None
    svt: float | None = None
    fft: float | None = None
    data: float | None = None
    lightning: float | None = None
    ours_mb: float | None = None
    naive_mb: float | None = None


def timed(case: Case, device: str, repeats: int) -> Row:
    """Check that both compute the same, and time both alternately."""
    problem = problem_of(case, device)
    with torch.no_grad():
        ours, naive = problem.ours(), problem.naive()
        difference = float((ours - naive).norm() / naive.norm())
    if difference > AGREEMENT[case.precision]:
        raise ValueError(
            f"{case}: the naive network differs by {difference:.1e}, expected less than {AGREEMENT[case.precision]}"
        )
    steps = steps_of(case, device)
    for step in steps.values():
        step()  # load the libraries first
    times = [[milliseconds(steps[name], device) for name in NAMES] for _ in range(repeats)]
    ours_ms, naive_ms = map(median, zip(*times, strict=True))
    return Row(case, ours_ms, naive_ms, median(naive / ours for ours, naive in times))


def shares(case: Case, device: str) -> dict[str, float]:
    """Return the share of the time of one of our steps that each kind of operation takes.

    On one thread of the CPU: the profiler does not see the threads among which a batch of decompositions is shared out.
    """
    step = steps_of(case, device)["ours"]
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    step()
    with profile(activities=activities, acc_events=True) as profiler, visible_factors():
        step()
    torch.set_num_threads(threads)
    unit = "device" if device == "cuda" else "cpu"
    events = profiler.events()
    total = sum(getattr(event, f"self_{unit}_time_total") for event in events)
    return {
        kind: sum(getattr(event, f"{unit}_time_total") for event in events if _is_outermost(event, keys)) / total
        for kind, keys in KINDS.items()
    }


def _is_outermost(event: Any, keys: tuple[str, ...]) -> bool:
    """Return whether an operation is of a kind, and no part of another one of it, which counts it already."""
    if not _is_of(event, keys):
        return False
    while (event := event.cpu_parent) is not None:
        if _is_of(event, keys):
            return False
    return True


def _is_of(event: Any, keys: tuple[str, ...]) -> bool:
    return bool(event.name.removeprefix("aten::").startswith(keys))


@contextmanager
def visible_factors() -> Iterator[None]:
    """Let the profiler see the factors that are computed outside of PyTorch."""
    original = native.gram_svd

    def gram_svd(A: Tensor) -> Any:
        with record_function("gram_svd"):
            return original(A)

    native.gram_svd = gram_svd
    try:
        yield
    finally:
        native.gram_svd = original


def measure(case: Case, device: str, repeats: int) -> Row:
    """Everything about a case but its memory."""
    row = timed(case, device, repeats)
    parts = shares(case, device)
    data, lightning = overhead(case, device, repeats)
    return row._replace(
        convolution=parts["convolution"],
        svt=parts["SVT"],
        fft=parts["FFT"],
        data=data,
        lightning=lightning,
    )


def with_memory(row: Row, device: str) -> Row:
    """Add the peak of memory of both."""
    return row._replace(**{f"{name}_mb": peak_megabytes(row.case, name, device) for name in NAMES})


def show(rows: list[Row], device: str) -> None:
    """Print the table."""
    table = Table(
        title=f"A training step on {device}, {torch.get_num_threads()} thread(s), beside a naive one in float32"
    )
    columns = ("task", "network", "size", "batch", "precision", "ours, ms", "naive, ms", "times faster")
    for column in (*columns, *KINDS, "data", "Lightning", "MB ours", "MB naive"):
        table.add_column(column, justify="right" if column not in columns[:3] else "left")
    for row in rows:
        part = (row.convolution, row.svt, row.fft, row.data, row.lightning)
        table.add_row(
            *(row.case.task, row.case.title, row.case.size_title, str(row.case.batch)),
            row.case.precision,
            *(f"{row.ours_ms:.0f}", f"{row.naive_ms:.0f}", f"{row.ratio:.2f}"),
            *(f"{share:.1%}" for share in part if share is not None),
            *(f"{megabytes:.0f}" for megabytes in (row.ours_mb, row.naive_mb) if megabytes is not None),
        )
    Console(width=200).print(table)


def save(rows: list[Row], path: Path, device: str) -> None:
    """Write all rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["device", "threads", *Case._fields, *Row._fields[1:]])
        writer.writerows([device, torch.get_num_threads(), *row.case, *row[1:]] for row in rows)


def draw(iterations: list[Row], sizes: list[Row], path: Path) -> None:
    """Plot the time of a step against iterations, and against the size of an image."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, marker in zip(NAMES, "os", strict=True):
        left.plot(
            [row.case.iterations for row in iterations], [_seconds(row, name) for row in iterations], f"{marker}-"
        )
        sides = [row.case.size[-1] for row in sizes]
        right.plot(sides, [_seconds(row, name) for row in sizes], f"{marker}-", label=name)
    left.set(xlabel="iterations", ylabel="seconds per training step", title=_title(iterations[-1]), ylim=(0, None))
    left.set_xticks([row.case.iterations for row in iterations])
    right.set(xlabel="pixels a side", xscale="log", yscale="log", title=f"{_title(sizes[-1])}, {sizes[-1].case.title}")
    right.set_xticks(sides, labels=map(str, sides))
    right.xaxis.minorticks_off()
    right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.minorticks_off()
    right.legend()
    figure.savefig(path, dpi=130)


def _seconds(row: Row, name: str) -> float:
    return getattr(row, f"{name}_ms") / 1e3


def _title(row: Row) -> str:
    return f"{row.case.task}, batch {row.case.batch}"


def main() -> None:
    """Parse the arguments, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="tiny sizes, no memory")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of the CPU; PyTorch's default")
    parser.add_argument("--repeats", type=int, default=5, help="steps of each implementation")
    parser.add_argument("--output", type=Path, default=Path(), help="folder of train_step.csv and train_step.png")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cases = QUICK if arguments.quick else FULL
    named = [measure(case, arguments.device, arguments.repeats) for case in cases.named]
    if not arguments.quick:
        named = [with_memory(row, arguments.device) for row in named]
    show(named, arguments.device)
    iterations, sizes = (
        [timed(case, arguments.device, arguments.repeats) for case in sweep]
        for sweep in (cases.iterations, cases.sizes)
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    save([*named, *iterations, *sizes], arguments.output / "train_step.csv", arguments.device)
    draw(iterations, sizes, arguments.output / "train_step.png")


if __name__ == "__main__":
    main()
