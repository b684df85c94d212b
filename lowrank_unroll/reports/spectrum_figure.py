"""Picture of thresholds, ranks and gaps of singular values in the course of a training."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from matplotlib import colormaps
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from torch import Tensor
from torch.nn.functional import pad

from lowrank_unroll.files import written_whole
from lowrank_unroll.linalg import relative_spectrum, tie_tolerance
from lowrank_unroll.reports.spectrum_record import SpectrumRow

LOWEST = 1e-9  # of s_1; below it the axis of gaps is linear, to have room for zero, and spectra are cut off
RESOLUTION = tie_tolerance(torch.float32)
FEW = 20  # lines of no more points have markers
QUANTILES = torch.tensor([0.1, 0.5, 0.9])


def save_spectrum(rows: Sequence[SpectrumRow], first: Sequence[Tensor], last: Sequence[Tensor], path: Path) -> None:
    """Draw thresholds, ranks and gaps of every iteration over the training, and the spectra at its ends.

    Args:
        rows: in the order of the steps.
        first: singular values (matrices, k) of each iteration at the first step of ``rows``.
        last: the same at the last step.
        path: of the picture.
    """
    iterations = 1 + max(row.iteration for row in rows)
    colours = ListedColormap(colormaps["viridis"](torch.linspace(0, 0.9, iterations).numpy()))
    figure = Figure(figsize=(11, 7.5), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    grid = figure.subplots(2, 2)
    for iteration in range(iterations):
        _draw_history(grid, [row for row in rows if row.iteration == iteration], colours(iteration))
    _label_histories(grid)
    _draw_spectra(grid[1, 1], rows, first, last)
    if iterations > 1:
        norm = BoundaryNorm([index - 0.5 for index in range(iterations + 1)], iterations)
        bar = figure.colorbar(ScalarMappable(norm, colours), ax=grid, aspect=40, label="iteration of the network")
        bar.ax.yaxis.set_major_locator(MaxNLocator(integer=True))
        bar.ax.yaxis.set_minor_locator(MaxNLocator(1))
    with written_whole(path) as temporary:
        figure.savefig(temporary, dpi=130)


def _draw_history(grid: Any, rows: Sequence[SpectrumRow], colour: Any) -> None:
    steps = [row.step for row in rows]
    style = {
        "color": colour,
        "marker": "o" if len(steps) <= FEW else "",
        "markersize": 3,
        "linewidth": 1.2,
        "clip_on": False,
    }
    grid[0, 0].plot(steps, [row.threshold for row in rows], **style)
    grid[0, 1].plot(steps, [row.effective_rank_before for row in rows], **style, linestyle="--")
    grid[0, 1].plot(steps, [row.effective_rank_after for row in rows], **style)
    grid[1, 0].plot(steps, [row.smallest_gap for row in rows], **style)


def _label_histories(grid: Any) -> None:
    thresholds, ranks, gaps = grid[0, 0], grid[0, 1], grid[1, 0]
    thresholds.set(title="Learned threshold", ylabel=r"threshold / $s_1$")
    ranks.set(title="Effective rank", ylabel="mean over matrices", ylim=(0, None))
    ranks.legend(
        [Line2D([], [], color="black", linestyle=style) for style in ("--", "-")],
        ["before the shrinkage", "after"],
    )
    gaps.set(title="Smallest gap of neighbouring singular values", ylabel=r"$(s_i - s_{i+1})\ /\ s_1$")
    gaps.set_yscale("symlog", linthresh=LOWEST)
    gaps.set_ylim(0, 30)  # room for the legend
    note = f"below {RESOLUTION:.0e} single precision sees a tie:\nthe gradient of an SVD is NaN or wrong"
    gaps.axhspan(0, RESOLUTION, color="tab:red", alpha=0.15, linewidth=0, label=note)
    gaps.axhline(RESOLUTION, color="tab:red", linewidth=1)
    gaps.legend(loc="upper right")
    for axes in (thresholds, ranks, gaps):
        axes.set_xlabel("training step")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _draw_spectra(axes: Any, rows: Sequence[SpectrumRow], first: Sequence[Tensor], last: Sequence[Tensor]) -> None:
    entries = []
    for spectra, step, colour in ((first, rows[0].step, "tab:orange"), (last, rows[-1].step, "tab:blue")):
        low, median, high = _quantiles(spectra)
        index = range(1, len(median) + 1)
        (line,) = axes.plot(index, median, color=colour)
        band = axes.fill_between(index, low, high, color=colour, alpha=0.25, linewidth=0)
        entries.append(((band, line), f"step {step}: median, 10 % to 90 %"))
    kept = [row.threshold for row in rows if row.step == rows[-1].step]
    thresholds = axes.axhspan(min(kept), max(kept), color="black", alpha=0.25, zorder=0)
    entries.append((thresholds, f"step {rows[-1].step}: thresholds"))
    axes.set(title="Singular values, all iterations together", xlabel="index i", ylabel=r"$s_i\ /\ s_1$", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(*zip(*entries, strict=True))


def _quantiles(spectra: Sequence[Tensor]) -> list[list[float]]:
    longest = max(S.shape[1] for S in spectra)
    together = torch.cat([pad(relative_spectrum(S), (0, longest - S.shape[1]), value=torch.nan) for S in spectra])
    return together.clamp(min=LOWEST).nanquantile(QUANTILES, dim=0).tolist()
