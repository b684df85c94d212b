"""Picture of all sampling patterns: one frame, one row over time, and the share of the frames that sample each pixel.

    python benchmarks/sampling_patterns.py [--figure docs/images/sampling_patterns.png]

Every pattern samples about one pixel in six. The row that is shown over time is off the centre of k-space, where radial
lines meet.
"""

import argparse
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from lowrank_unroll.sampling import (
    EquispacedLines,
    KtGaussian,
    PseudoRadial,
    RandomLines,
    SamplingPattern,
    Uniform,
    VariableDensity,
    Vista,
)

FRAMES, HEIGHT, WIDTH = 24, 96, 96
ROW = HEIGHT // 2 - 12
LABELS = (
    "one frame\nreadout (kx)",
    f"row {ROW} over time\nframe",
    "mean over time\nreadout (kx)",
)
PATTERNS: dict[str, SamplingPattern] = {
    "Uniform(1 / 6)": Uniform(1 / 6),
    "VariableDensity(1 / 6)": VariableDensity(1 / 6),
    "PseudoRadial(17)": PseudoRadial(17),
    "PseudoRadial(17,\ngolden_angle=True)": PseudoRadial(17, golden_angle=True),
    "EquispacedLines(6)": EquispacedLines(6),
    "RandomLines(6)": RandomLines(6),
    "KtGaussian(6)": KtGaussian(6),
    "Vista(6)": Vista(6),
}


def draw_column(column: list[Axes], mask: Tensor) -> None:
    """Show one mask (time, height, width) in three pictures, from top to bottom."""
    frame, over_time, average = column
    frame.imshow(mask[0], cmap="gray", interpolation="nearest")
    over_time.imshow(mask[:, ROW], cmap="gray", interpolation="nearest", aspect="auto")
    average.imshow(mask.float().mean(0), cmap="magma", vmin=0, vmax=1, interpolation="nearest")
    frame.set_xlabel(f"{mask.float().mean():.1%} sampled", fontsize=9)
    for axis in column:
        axis.set(xticks=[], yticks=[])


def draw(path: Path) -> None:
    """Plot all patterns."""
    figure = Figure(figsize=(15, 6), layout="constrained")
    axes = figure.subplots(3, len(PATTERNS), height_ratios=(4, 3, 4))
    for column, (name, pattern) in zip(axes.T, PATTERNS.items(), strict=True):
        draw_column(list(column), pattern((FRAMES, HEIGHT, WIDTH), torch.Generator().manual_seed(0)))
        column[0].set_title(name, fontsize=10)
    for axis, label in zip(axes[:, 0], LABELS, strict=True):
        axis.set_ylabel(label)
    figure.colorbar(axes[-1, -1].images[0], ax=axes[-1], label="share of the frames", pad=0.01)
    figure.supxlabel("phase encoding (ky)", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Parse the arguments and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, default=Path("sampling_patterns.png"), help="where to plot")
    draw(parser.parse_args().figure)


if __name__ == "__main__":
    main()
