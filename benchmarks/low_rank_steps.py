"""Time of forming matrices beside that of shrinking them: a low-rank step of an image and of a series, part by part.

    python benchmarks/low_rank_steps.py

Each part is repeated, and its median counts. The gradient is that of the whole step, matching excepted, which has none.
"""

import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from lowrank_unroll.prox import Blocks, Casorati, LowRankProx, Matricization, Patches

REPEATS = 5
IMAGE = (1, 3, 256, 256)
SERIES = (1, 16, 128, 128)
CASES: dict[str, tuple[Matricization, tuple[int, ...], float]] = {
    "2 x 2 patches, 16 neighbors": (Patches(), IMAGE, -4.0),
    "3 x 3 patches, 24 neighbors": (Patches(3, 3, 24), IMAGE, -4.0),
    "6 x 6 patches, 24 neighbors": (Patches(6, 3, 24), IMAGE, -4.0),
    "2 x 2 patches of a series": (Patches(radius=5), SERIES, -6.7),
    "8 x 8 blocks": (Blocks(8), SERIES, -6.0),
    "16 x 16 blocks": (Blocks(16), SERIES, -6.0),
    "16 x 16 blocks of two grids": (Blocks(16, ((0, 0), (8, 8))), SERIES, -6.0),
    "whole series": (Casorati(), SERIES, -6.0),
}


def milliseconds(function: Callable[[], Any]) -> float:
    """The median time of a few calls after the first."""
    function()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        function()
        times.append(1e3 * (time.perf_counter() - begin))
    return median(times)


def parts(matricization: Matricization, image: Tensor, threshold_logit: float) -> Iterator[str]:
    """Yield the number and size of the matrices, and the time of each part of a step."""
    prox = LowRankProx(matricization=matricization, threshold_logit=threshold_logit)
    matches = matricization.locate(image)
    matrices = matricization.split(image, matches)
    count, (m, n) = matrices.shape[:-2].numel(), matrices.shape[-2:]
    yield f"{count} x {m} x {n}"
    with torch.no_grad():
        yield f"{milliseconds(lambda: matricization.locate(image)):.0f}" if matches is not None else "-"
        yield f"{milliseconds(lambda: matricization.split(image, matches)):.1f}"
        yield f"{milliseconds(lambda: prox(image, matches)):.0f}"
        yield f"{milliseconds(lambda: matricization.join(matrices, matches, image)):.1f}"
    leaf = image.clone().requires_grad_()
    yield f"{milliseconds(lambda: prox(leaf, matches).abs().sum().backward()):.0f}"


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    table = Table(title=f"Milliseconds, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for name in ("matrices of", "", "match", "form", "whole step", "average", "step and gradient"):
        table.add_column(name, justify="left" if name in {"matrices of", ""} else "right")
    for name, (matricization, shape, logit) in track(CASES.items(), description="Timing", transient=True):
        smooth = torch.nn.functional.interpolate(torch.rand(1, shape[1], 32, 32), shape[2:], mode="bicubic")
        image = smooth + 0.02 * torch.rand(shape)
        table.add_row(name, *parts(matricization, image if shape == IMAGE else image.to(torch.complex64), logit))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
