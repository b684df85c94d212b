"""Relative error of the gradient of singular value thresholding under every rule: against the gap, and by spectrum.

    python benchmarks/gradient_accuracy.py [--figure docs/images/gradient_accuracy.png]

Every rule is computed in single precision and compared with the exact gradient in double precision, itself checked
against fifty digits and finite differences in the tests. The loss is <G, Y> with random G; the median of ten draws
counts.
"""

import argparse
import math
from pathlib import Path
from statistics import median
from typing import get_args

import torch
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from torch import Tensor

from lowrank_unroll.linalg import SVDGradient, singular_value_threshold, svd

THRESHOLD = 0.5
DRAWS = 10
NAN_HEIGHT = 10.0  # where the plot shows NaN
GAPS = [10.0**-exponent for exponent in range(13)]
SPECTRA = {
    "4, 3, 2, 1": [4.0, 3.0, 2.0, 1.0],
    "3, 3 + 1e-6, 3 - 1e-6, 1": [3.0, 3 + 1e-6, 3 - 1e-6, 1.0],
    "3, 3, 3, 1": [3.0, 3.0, 3.0, 1.0],
    "3, 3, 0, 0": [3.0, 3.0, 0.0, 0.0],
    "3, 0, 0, 0": [3.0, 0.0, 0.0, 0.0],
    "1, 1, 1, 1": [1.0] * 4,
    "0, 0, 0, 0": [0.0] * 4,
}
RULES = ("exact", *get_args(SVDGradient))
NAMES = {
    "plain": "plain (autograd)",
    "zero": "zero (SVD-tf)",
    "clip": "clip (SVD-clip)",
    "taylor": "taylor (SVD-taylor)",
    "pinv": "pinv (SVD-inv)",
    "exact": "exact (ours)",
}
STYLES = {"plain": "--", "zero": ":", "clip": "-.", "taylor": "-", "pinv": (0, (5, 1)), "exact": "-"}


def threshold(A: Tensor, rule: str) -> Tensor:
    """Soft thresholding of singular values, differentiated by a rule."""
    if rule == "exact":
        return singular_value_threshold(A, THRESHOLD)
    U, S, Vh = svd(A, rule)  # type: ignore[arg-type]
    return (U * (S - THRESHOLD).relu()[..., None, :]) @ Vh


def gradient(A: Tensor, G: Tensor, rule: str) -> Tensor:
    """The gradient of <G, Y> at A, in double precision."""
    A = A.clone().requires_grad_()
    return torch.autograd.grad(threshold(A, rule), A, G)[0].to(torch.promote_types(A.dtype, torch.float64))


def error(values: list[float], rule: str, dtype: torch.dtype, *, aligned: bool = False) -> float:
    """The median relative error of a rule in single precision at matrices with these singular values; NaN counts.

    Aligned matrices are diagonal, so that ties are exact also after rounding.
    """
    double = torch.promote_types(dtype, torch.float64)
    errors = []
    for draw in range(DRAWS):
        torch.manual_seed(draw)
        U, V = (torch.linalg.qr(torch.randn(side, 4, dtype=double)).Q for side in (6, 4))
        if aligned:
            U, V = torch.eye(6, 4, dtype=double), torch.eye(4, dtype=double)
        A = ((U * torch.tensor(values, dtype=torch.float64)) @ V.mH).to(dtype)
        G = torch.randn(6, 4, dtype=dtype)
        reference = gradient(A.to(double), G.to(double), "exact")
        size = reference.norm() if reference.any() else G.norm()
        errors.append(float((gradient(A, G, rule) - reference).norm() / size))
    return math.nan if any(map(math.isnan, errors)) else median(errors)


def print_tables() -> None:
    """Print the error of every rule for the named spectra, with ties split by rounding and exact."""
    for dtype in (torch.float32, torch.complex64):
        for aligned in (False, True):
            kind = "diagonal: ties exact" if aligned else "random bases: ties split by rounding"
            table = Table(title=f"Relative error of the gradient, {str(dtype).removeprefix('torch.')}, {kind}")
            table.add_column("singular values")
            for rule in RULES:
                table.add_column(NAMES[rule], justify="right")
            for name, values in SPECTRA.items():
                table.add_row(name, *(f"{error(values, rule, dtype, aligned=aligned):.0e}" for rule in RULES))
            Console(width=140).print(table)


def draw(path: Path) -> None:
    """Plot the error of every rule against the gap between two singular values."""
    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    for axis, dtype, title in zip(axes, (torch.float32, torch.complex64), ("real", "complex"), strict=True):
        for rule in RULES:
            errors = [error([3 + gap, 3.0, 2.0 - gap / 2, 1.0], rule, dtype) for gap in GAPS]
            width = 2.5 if rule == "exact" else 1.5
            (line,) = axis.loglog(GAPS, errors, linestyle=STYLES[rule], linewidth=width, label=NAMES[rule])
            not_a_number = [gap for gap, value in zip(GAPS, errors, strict=True) if math.isnan(value)]
            axis.plot(not_a_number, [NAN_HEIGHT] * len(not_a_number), "x", color=line.get_color())
            if not_a_number:
                axis.text(max(not_a_number), NAN_HEIGHT * 2.5, "NaN", color=line.get_color(), ha="left", va="bottom")
        axis.axhline(1, color="black", linewidth=0.6)
        axis.invert_xaxis()
        axis.set(xlabel="gap between two singular values", title=f"{title} matrices, single precision")
        axis.set_ylim(1e-8, 1e3)
    axes[0].set_ylabel("relative error of the gradient")
    axes[0].legend(fontsize=8, loc="center right", bbox_to_anchor=(1.0, 0.42))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Parse the arguments, print and plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--figure", type=Path, default=Path("gradient_accuracy.png"), help="where to plot")
    arguments = parser.parse_args()
    print_tables()
    draw(arguments.figure)


if __name__ == "__main__":
    main()
