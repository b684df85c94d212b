"""Plots of a report: distributions of metrics, singular values, learned thresholds."""

from collections.abc import Mapping, Sequence
from itertools import cycle

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lowrank_unroll.names import drawable
from lowrank_unroll.reports.evaluation import MetricValues, column
from lowrank_unroll.reports.headings import Heading

INCHES = 2.8
LONGEST_METHOD = 80  # characters
INCHES_OF_CHARACTER = 0.09
COLOURS = ("#1f5fa8", "#c8553d", "#3a8f5d", "#8a63b8", "#b58a1b", "#5b6770")


def distributions(
    methods: Mapping[str, Sequence[MetricValues]], headings: Mapping[str, Heading] | None = None
) -> Figure:
    """Draw box plots of every metric, with each sample as a point, one box for each method by name.

    Args:
        methods: metrics of each sample, by method.
        headings: of the metrics, by name; a metric without one has its name.
    """
    metrics = list(next(iter(methods.values()))[0])
    height = 0.9 + 0.45 * len(methods)
    names = [drawable(name, LONGEST_METHOD) for name in methods]
    width = INCHES * len(metrics) + INCHES_OF_CHARACTER * max(map(len, names))
    figure = Figure(figsize=(width, height), layout="constrained")
    row = figure.subplots(1, len(metrics), squeeze=False)[0]
    for axes, metric in zip(row, metrics, strict=True):
        for position, rows in enumerate(methods.values()):
            values = column(rows, metric)
            values = values[np.isfinite(values)]
            colour = COLOURS[position % len(COLOURS)]
            axes.boxplot(
                values,
                positions=[position],
                orientation="horizontal",
                widths=0.6,
                showfliers=False,
                medianprops={"color": colour, "linewidth": 2},
                boxprops={"color": colour},
                whiskerprops={"color": colour},
                capprops={"color": colour},
            )
            scatter = 0.2 * np.sin(
                2.4 * np.arange(len(values))
            )  # spread without random numbers, so that reports repeat
            axes.plot(values, position + scatter, "o", color=colour, markersize=3, alpha=0.6)
        axes.set_yticks(range(len(methods)), names if axes is row[0] else [""] * len(names))
        axes.set_ylim(len(methods) - 0.5, -0.5)
        axes.set_title(drawable((headings or {}).get(metric, Heading(metric)).text), fontsize=10)
        axes.grid(axis="x", alpha=0.3)
        axes.xaxis.set_major_locator(MaxNLocator(4))
    return figure


def spectra(spectra_of: Mapping[str, npt.NDArray[np.floating]]) -> Figure:
    """Draw the decay of singular values, by the name of their image.

    Args:
        spectra_of: singular values of each, in decreasing order.
    """
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for colour, (name, values) in zip(COLOURS, spectra_of.items(), strict=False):
        relative = values / max(values[0], np.finfo(values.dtype).tiny)
        axes.semilogy(np.arange(1, len(values) + 1), relative.clip(1e-7), "o-", color=colour, label=name, markersize=3)
    axes.set_xlabel("index")
    axes.set_ylabel("singular value / largest")
    axes.set_title("Singular values", fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return figure


def thresholds(fractions: Sequence[tuple[float, str]]) -> Figure:
    """Draw the learned thresholds of the iterations, each a fraction and the name of its unit."""
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    units = dict.fromkeys(unit for _, unit in fractions)
    for colour, unit in zip(cycle(COLOURS), units):
        iterations = [iteration for iteration, (_, own) in enumerate(fractions) if own == unit]
        axes.bar(iterations, [fractions[iteration][0] for iteration in iterations], color=colour, label=unit)
    axes.set_xlabel("iteration of the network")
    axes.set_ylabel(f"threshold / {' or '.join(units)}")
    if len(units) > 1:
        axes.legend(frameon=False)
    axes.set_title("Learned thresholds", fontsize=10)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", alpha=0.3)
    return figure
