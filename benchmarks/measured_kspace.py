"""Methods without training on k-space that a scanner measured: hyperpolarised 13C and 15N in rats, one coil.

    python benchmarks/measured_kspace.py FOLDER --picture measured.png --prospective prospective.png

FOLDER holds the MATLAB files of the hyperpolarized-mri-toolbox (LarsonLab, BSD-3; Milshteyn et al., J. Magn. Reson.
290, 46-59, 2018). Two of them are fully sampled, and undersampled here four-fold, with another mask for each frame. Two
were measured undersampled: a fifth of what they hold is held out here. The held-out error is that of k-space which a
method was not given, relative; its noise is independent of the noise that the method was given. Every second series
chooses the settings of a method, by this error, and the others are reported.
"""

import argparse
from collections.abc import Callable
from itertools import product
from pathlib import Path
from shutil import which
from typing import NamedTuple

import matplotlib.pyplot as plt
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from datamodules.measured.matlab_series import MatlabSeries
from lowrank_unroll.metrics import psnr
from lowrank_unroll.networks import (
    BART,
    LocallyLowRankRecon,
    LowRankPlusSparseRecon,
    NuclearNormRecon,
    ViewSharing,
    ZeroFilled,
)
from lowrank_unroll.notebook import reconstruct
from lowrank_unroll.operators import Fourier
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import RandomLines, SamplingPattern, Uniform, VariableDensity

SEED = 3407
LEAST_ENERGY = 0.3  # of the strongest series; below it there is hardly anything but noise
LOW_RANK, TV = (0.25, 0.5, 1.0, 2.0), (0.0625, 0.25, 0.5, 1.0, 2.0)  # factors


class Method(NamedTuple):
    """A method, and the factors of its settings to choose from; those of the default are 1."""

    build: Callable[..., nn.Module]
    factors: tuple[tuple[float, ...], ...] = ((),)

    @property
    def default(self) -> tuple[float, ...]:
        """The factors of the default."""
        return (1.0,) * len(self.factors[0])


def locally_low_rank(low_rank: float, temporal_tv: float) -> nn.Module:
    """Return locally low rank and total variation, whose default settings are multiplied by factors."""
    return LocallyLowRankRecon(low_rank=0.9 * low_rank, temporal_tv=2.0 * temporal_tv)


OURS = "locally low rank and TV"
METHODS: dict[str, Method] = {
    "zero-filled": Method(ZeroFilled),
    "view sharing": Method(ViewSharing),
    "nuclear norm": Method(lambda factor: NuclearNormRecon(0.003 * factor), tuple((2.0**n,) for n in range(-1, 6))),
    "L+S": Method(
        lambda factor: LowRankPlusSparseRecon(0.005 * factor, 0.003 * factor), tuple((2.0**n,) for n in range(-1, 7))
    ),
    OURS: Method(locally_low_rank, tuple(product(LOW_RANK, TV))),
}
if which("bart"):
    METHODS |= {
        "BART, TV": Method(lambda: BART("-m -i 100 -R T:1024:0:.003")),
        "BART, LLR and TV": Method(BART),
    }


class Problem(NamedTuple):
    """Series to reconstruct.

    Attributes:
        batch: what methods are given; its target is the image of all that was measured.
        measured: all k-space that was measured, (batch, 1, time, height, width), complex64.
        held_out: True for what was measured and not given, of the same shape.
        is_fully_sampled: whether the target is a reference.
    """

    batch: Sample
    measured: Tensor
    held_out: Tensor
    is_fully_sampled: bool

    def part(self, indices: slice) -> "Problem":
        """Return some of the series."""
        batch = Sample.stack([self.batch.at(index) for index in range(len(self.batch.name))[indices]])
        return Problem(batch, self.measured[indices], self.held_out[indices], self.is_fully_sampled)


def problem_of(file: Path, pattern: SamplingPattern) -> Problem:
    """Read the strong series of a file, and keep of them what the pattern samples."""
    series = MatlabSeries(file)
    generator = torch.Generator().manual_seed(SEED)
    samples = [series[index] for index in series.strong(LEAST_ENERGY)]
    kept = [pattern(sample.mask.shape[1:], generator)[None] & sample.mask for sample in samples]
    given = [
        sample._replace(
            mask=mask, measurement=sample.measurement * mask, target=Fourier().adjoint(sample.measurement)[0]
        )
        for sample, mask in zip(samples, kept, strict=True)
    ]
    held_out = torch.stack([sample.mask & ~mask for sample, mask in zip(samples, kept, strict=True)])
    measured = torch.stack([sample.measurement for sample in samples])
    return Problem(Sample.stack(given), measured, held_out, bool(series.sampled.all()))


def problems(folder: Path) -> dict[str, Problem]:
    """Return the problems by their names; settings for a single series are chosen on the problem before."""
    return {
        "15N urea, 8 frames, 40 x 12, variable density 4-fold": problem_of(
            folder / "n15urea_3D_kspace_VFA.mat", VariableDensity(0.25)
        ),
        "13C urea, 20 echoes, 140 x 70, random lines 4-fold": problem_of(
            folder / "t2mapping_urea_retrospective_data.mat", RandomLines(4)
        ),
        "13C pyruvate, 13 frames, 30 x 9, measured 40 %": problem_of(
            folder / "kspace_c2pyr_prospective.mat", Uniform(0.8)
        ),
        "15N urea, 13 frames, 40 x 12, measured 40 %": problem_of(
            folder / "kspace_n15urea_prospective.mat", Uniform(0.8)
        ),
    }


class Score(NamedTuple):
    """Qualities of a method, one of each series: the held-out error, and PSNR in dB."""

    error: Tensor
    psnr: Tensor


def score(network: nn.Module, problem: Problem) -> Score:
    """Reconstruct the series, and measure."""
    series = reconstruct(network, problem.batch)
    wrong = (Fourier()(series)[:, None] - problem.measured) * problem.held_out
    right = problem.measured * problem.held_out
    error = torch.linalg.vector_norm(wrong.flatten(1), dim=1) / torch.linalg.vector_norm(right.flatten(1), dim=1)
    assert problem.batch.target is not None  # noqa: S101  see problem_of
    return Score(error, psnr(series.abs(), problem.batch.target.abs()))


def errors_of(method: Method, problem: Problem) -> dict[tuple[float, ...], float]:
    """Return the mean held-out error of a method for each of its factors."""
    if len(method.factors) == 1:
        return dict.fromkeys(method.factors, 0.0)  # nothing to choose
    return {factors: float(score(method.build(*factors), problem).error.mean()) for factors in method.factors}


def table_of(title: str, problem: Problem, factors: dict[str, tuple[float, ...]]) -> Table:
    """Return the table of all methods with default and with chosen settings."""
    number = len(problem.batch.name)
    table = Table("method", "held-out error", "chosen", "factors", title=f"{title}, {number} series")
    if problem.is_fully_sampled:
        table.add_column("PSNR, dB")
        table.add_column("chosen")
        table.add_column("over view sharing, chosen")
    baseline = score(ViewSharing(), problem)
    for name, method in METHODS.items():
        default, chosen = (score(method.build(*one), problem) for one in (method.default, factors[name]))
        cells = [name, f"{default.error.mean():.3f}", f"{chosen.error.mean():.3f}", " ".join(map(str, factors[name]))]
        if problem.is_fully_sampled:
            gains = chosen.psnr - baseline.psnr
            cells += [f"{default.psnr.mean():.2f}", f"{chosen.psnr.mean():.2f}"]
            cells.append(f"{gains.mean():+.2f} [{gains.min():+.2f}, {gains.max():+.2f}]")
        table.add_row(*cells)
    return table


def sweep_of(title: str, errors: dict[tuple[float, ...], float]) -> Table:
    """Return the held-out errors of locally low rank and TV, a row for each factor of the threshold of low rank."""
    table = Table("low rank \\ temporal TV", *map(str, TV), title=f"{title}: held-out error")
    for low_rank in LOW_RANK:
        table.add_row(str(low_rank), *(f"{errors[low_rank, tv]:.3f}" for tv in TV))
    return table


def strongest(problem: Problem) -> Problem:
    """Return the series with the most energy."""
    index = int(
        (problem.measured * problem.batch.scale[:, None, None, None, None]).abs().square().sum((1, 2, 3, 4)).argmax()
    )
    return problem.part(slice(index, index + 1))


def series_by_method(problem: Problem, factors: dict[str, tuple[float, ...]]) -> dict[str, Tensor]:
    """Return the strongest series (time, height, width) by each method with default settings, and by ours as chosen."""
    one = strongest(problem)
    found = {name: reconstruct(method.build(*method.default), one.batch)[0] for name, method in METHODS.items()}
    found[f"{OURS}, chosen"] = reconstruct(locally_low_rank(*factors[OURS]), one.batch)[0]
    return found


def draw_frames(rows: dict[str, dict[str, Tensor]], path: Path) -> None:
    """Draw a frame of each method, a row for each data set."""
    names = list(dict.fromkeys(name for images in rows.values() for name in images))
    figure = plt.figure(figsize=(1.15 * len(names), 1.3 * len(rows)), layout="constrained")
    for part, (title, images) in zip(figure.subfigures(len(rows), 1), rows.items(), strict=True):
        part.suptitle(title, fontsize=8, x=0.01, ha="left")
        frames = {name: series[brightest(series) + 1].abs() for name, series in images.items()}
        white = max(float(frame.max()) for frame in frames.values())
        for axes, name in zip(part.subplots(1, len(names)), names, strict=True):
            axes.set_axis_off()
            axes.imshow(upright(frames[name]), cmap="gray", vmin=0, vmax=white)
            axes.set_title(name.replace(" and", "\nand").replace(", ", ",\n"), fontsize=7)
    figure.savefig(path, dpi=180)


def draw_series(rows: dict[str, dict[str, Tensor]], path: Path) -> None:
    """Draw all frames of a series, a row for each method, a block for each data set.

    The square root of the magnitude is drawn, so that late frames, of which little signal is left, can be seen.
    """
    names = list(next(iter(rows.values())))
    figure = plt.figure(figsize=(8, 0.62 * len(names) * len(rows)), layout="constrained")
    for part, (title, images) in zip(figure.subfigures(len(rows), 1), rows.items(), strict=True):
        part.suptitle(title, fontsize=8, x=0.01, ha="left")
        axes = part.subplots(len(names), 1)
        white = max(float(series.abs().sqrt().max()) for series in images.values())
        for row, name in zip(axes, names, strict=True):
            frames = [upright(frame) for frame in images[name].abs().sqrt()]
            row.imshow(torch.cat(frames, dim=1), cmap="gray", vmin=0, vmax=white, aspect="auto")
            for number in range(1, len(frames)):
                row.axvline(number * frames[0].shape[1] - 0.5, color="white", linewidth=1)
            row.set_xticks([])
            row.set_yticks([])
            row.set_ylabel(name.replace(" and", "\nand"), fontsize=6, rotation=0, ha="right", va="center")
    figure.savefig(path, dpi=180)


def upright(frame: Tensor) -> Tensor:
    """Turn a frame so that it is wider than high."""
    height, width = frame.shape
    return frame if width > height else frame.T


def brightest(series: Tensor) -> int:
    """Return the number of the frame with the largest magnitude, the last apart."""
    return int(series[:-1].abs().amax((1, 2)).argmax())


def main() -> None:
    """Print the tables, and draw the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--picture", type=Path, help="of the fully sampled files")
    parser.add_argument("--prospective", type=Path, help="picture of the files that were measured undersampled")
    choices = parser.parse_args()
    torch.set_num_threads(1)
    retrospective, prospective, factors = {}, {}, {}
    for title, problem in problems(choices.folder).items():
        if len(problem.batch.name) > 1:
            choosing = problem.part(slice(1, None, 2))
            errors = {name: errors_of(method, choosing) for name, method in METHODS.items()}
            factors = {name: min(found, key=found.__getitem__) for name, found in errors.items()}
            Console().print(sweep_of(title, errors[OURS]))
        reported = problem.part(slice(None, None, 2))
        Console().print(table_of(title, reported, factors))
        images = series_by_method(reported, factors)
        if problem.is_fully_sampled:
            reference = strongest(reported).batch.target
            retrospective[title] = {"fully sampled": reference[0]} | images
        else:
            prospective[title] = images
    if choices.picture is not None:
        draw_frames(retrospective, choices.picture)
    if choices.prospective is not None:
        draw_series(prospective, choices.prospective)


if __name__ == "__main__":
    main()
