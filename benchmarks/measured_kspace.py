"""Methods without training on k-space that a scanner measured: hyperpolarised 13C and 15N in rats, one coil.

    python benchmarks/measured_kspace.py FOLDER --picture carbon13.png

FOLDER holds the MATLAB files of the hyperpolarized-mri-toolbox (LarsonLab, BSD-3; Milshteyn et al., J. Magn. Reson.
290, 46-59, 2018). Two of them are fully sampled, and undersampled here four-fold, with another mask for each frame: the
table. Their noise is in the reference, too, so that no method reaches it. The picture also shows one that was measured
undersampled. The readout is the first dim; after a Fourier transform along it each of its points is a series.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from statistics import mean

import matplotlib.pyplot as plt
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from scipy.io import loadmat
from torch import Tensor, nn

from lowrank_unroll.metrics import psnr
from lowrank_unroll.networks import (
    BART,
    LocallyLowRankRecon,
    LowRankPlusSparseRecon,
    NuclearNormRecon,
    ViewSharing,
    ZeroFilled,
)
from lowrank_unroll.operators import Fourier, SampledFourier, SingleCoil
from lowrank_unroll.sampling import RandomLines, SamplingPattern, VariableDensity

METHODS: dict[str, nn.Module] = {
    "zero-filled": ZeroFilled(),
    "view sharing": ViewSharing(),
    "nuclear norm": NuclearNormRecon(),
    "L+S": LowRankPlusSparseRecon(),
    "locally low rank and TV": LocallyLowRankRecon(),
}
if which("bart"):
    METHODS |= {"BART, TV": BART("-m -i 100 -R T:1024:0:.003"), "BART, LLR and TV": BART()}
SEED = 3407
LEAST_ENERGY = 0.3  # of the strongest series; below it there is hardly anything but noise


def read(file: Path, name: str) -> Tensor:
    """Read the k-space of a file, complex64."""
    return torch.from_numpy(loadmat(file)[name]).to(torch.complex64)


def along_readout(kspace: Tensor) -> Tensor:
    """Transform k-space (readout, height, width, time) along the readout, to (readout, time, height, width)."""
    shifted = torch.fft.ifft(torch.fft.ifftshift(kspace, dim=0), dim=0, norm="ortho")
    return torch.fft.fftshift(shifted, dim=0).permute(0, 3, 1, 2)


def fully_sampled(folder: Path) -> Iterator[tuple[str, Tensor, SamplingPattern]]:
    """Yield names, k-space (series, time, height, width), the strongest last, and patterns to undersample it by."""
    echoes = read(folder / "t2mapping_urea_retrospective_data.mat", "data").permute(2, 1, 0)[None]
    yield "13C urea, 20 echoes, 70 x 140, random lines 4-fold", echoes, RandomLines(4)
    urea = along_readout(read(folder / "n15urea_3D_kspace_VFA.mat", "kspace_pf"))
    energy, order = urea.abs().square().sum((1, 2, 3)).sort()
    strong = urea[order[energy > LEAST_ENERGY * energy.max()]]
    yield "15N urea, 8 frames, 40 x 12, variable density 4-fold", strong, VariableDensity(0.25)


def reconstructions(kspace: Tensor, mask: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield the series (time, height, width) of each method, for one series of masked k-space."""
    operator = SampledFourier(mask[None, None]) @ SingleCoil()
    scale = operator.adjoint(kspace[None, None]).abs().max()
    for name, method in METHODS.items():
        with torch.inference_mode():
            series = method((kspace / scale)[None, None], operator)[0] * scale
        yield name, series


def table_of(title: str, kspace: Tensor, pattern: SamplingPattern) -> tuple[Table, dict[str, Tensor]]:
    """Return the table of all methods, and the last series by each."""
    generator = torch.Generator().manual_seed(SEED)
    qualities: dict[str, list[float]] = {name: [] for name in METHODS}
    last: dict[str, Tensor] = {}
    for series in track(kspace, description=title):
        mask = pattern(series.shape, generator)
        reference = Fourier().adjoint(series)
        last = {"fully sampled": reference}
        for name, found in reconstructions(series * mask, mask):
            qualities[name].append(float(psnr(found.abs()[None], reference.abs()[None])))
            last[name] = found
    table = Table("method", "PSNR, dB", "over view sharing", title=title)
    for name, values in qualities.items():
        gains = np.subtract(values, qualities["view sharing"])
        spread = f" [{gains.min():+.2f}, {gains.max():+.2f}]" if len(values) > 1 else ""
        table.add_row(name, f"{mean(values):.2f}", f"{gains.mean():+.2f}{spread}")
    return table, last


def prospective(folder: Path) -> dict[str, Tensor]:
    """Reconstruct the strongest slice of pyruvate that was measured undersampled, by each method."""
    kspace = along_readout(read(folder / "kspace_c2pyr_prospective.mat", "kspace"))
    series = kspace[kspace.abs().square().sum((1, 2, 3)).argmax()]
    return dict(reconstructions(series, series != 0))


def draw(rows: dict[str, dict[str, Tensor]], path: Path) -> None:
    """Draw a frame of each method, a row for each data set."""
    names = ["fully sampled", *METHODS]
    figure = plt.figure(figsize=(1.15 * len(names), 1.15 * len(rows)), layout="constrained")
    for part, (title, images) in zip(figure.subfigures(len(rows), 1), rows.items(), strict=True):
        part.suptitle(title, fontsize=8, x=0.01, ha="left")
        frames = {name: series[brightest(series) + 1].abs() for name, series in images.items()}
        white = max(float(frame.max()) for frame in frames.values())
        for axes, name in zip(part.subplots(1, len(names)), names, strict=True):
            axes.set_axis_off()
            if name in frames:
                height, width = frames[name].shape
                upright = frames[name] if width > height else frames[name].T
                axes.imshow(upright, cmap="gray", vmin=0, vmax=white)
                axes.set_title(name.replace(" and", "\nand"), fontsize=7)
    figure.savefig(path, dpi=180)


def brightest(series: Tensor) -> int:
    """Return the number of the frame with the largest magnitude."""
    return int(series.abs().amax((1, 2)).argmax())


def main() -> None:
    """Print the tables, and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--picture", type=Path)
    choices = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for title, kspace, pattern in fully_sampled(choices.folder):
        table, rows[title] = table_of(title, kspace, pattern)
        Console().print(table)
    if choices.picture is not None:
        rows["13C pyruvate, 13 frames, 30 x 9, measured 40 %"] = prospective(choices.folder)
        draw(rows, choices.picture)


if __name__ == "__main__":
    main()
