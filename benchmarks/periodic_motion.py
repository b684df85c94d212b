"""Train CORONA on videos of a static background and periodic motion by every gradient rule of the shrinkage.

    python benchmarks/periodic_motion.py [--steps 60] [--seeds 3] [--noise 0.01]

A square visits four places in turn, before a background that does not change and has the same mean at each place. The
Casorati matrix then has one large singular value, three equal ones and else zeros; noise splits the ties. For each
rule: the relative error of the gradient of all weights at the start, in single precision, against the exact rule in
double precision; and the PSNR of the sparse part of other such videos after a training from the same weights on the
same videos.
"""

import argparse
from statistics import mean
from typing import get_args

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from lowrank_unroll.linalg import SVDGradient
from lowrank_unroll.metrics import psnr
from lowrank_unroll.networks import CORONA
from lowrank_unroll.operators import Mask, Superposition

RULES = ("exact", *get_args(SVDGradient))
FRAMES, SIDE, PLACES, SQUARE = 12, 16, 4, 4
BATCH, RATE, TEST_SEED = 4, 0.01, 10**6


def videos(count: int, noise: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return backgrounds and squares (count, 2, time, height, width), and the noisy sums of both."""
    generator = torch.Generator().manual_seed(seed)
    background = torch.rand(count, 1, 1, 1, generator=generator).expand(-1, 1, SIDE, SIDE)
    texture = torch.rand(count, 1, SIDE, SIDE, generator=generator)
    background = background + 0.3 * (texture - interpolate(avg_pool2d(texture, SQUARE), scale_factor=SQUARE))
    squares = torch.zeros(count, FRAMES, SIDE, SIDE)
    for video in squares:
        cells = torch.randperm((SIDE // SQUARE) ** 2, generator=generator)[:PLACES]
        brightness = 0.2 + 0.3 * float(torch.rand((), generator=generator))
        for frame in range(FRAMES):
            row, column = divmod(int(cells[frame % PLACES]) * SQUARE, SIDE)
            video[frame, row * SQUARE : row * SQUARE + SQUARE, column : column + SQUARE] = brightness
    image = torch.stack([background.expand(-1, FRAMES, -1, -1), squares], dim=1)
    return image, image.sum(1) + noise * torch.randn(squares.shape, generator=generator)


def loss(network: CORONA, image: Tensor, measured: Tensor) -> Tensor:
    """The mean squared error of both parts."""
    return (part(network, measured) - image).square().mean()


def part(network: CORONA, measured: Tensor) -> Tensor:
    """Part videos of which all pixels are measured."""
    return network(measured, Mask(torch.ones_like(measured, dtype=torch.bool)) @ Superposition())


def weight_gradient(network: CORONA, image: Tensor, measured: Tensor) -> Tensor:
    """The gradient of all weights, in one vector in double precision."""
    gradients = torch.autograd.grad(loss(network, image, measured), list(network.parameters()))
    return torch.cat([gradient.flatten().double() for gradient in gradients])


def gradient_error(rule: str, noise: float, seed: int) -> float:
    """The relative error of the gradient at the start."""
    image, measured = videos(BATCH, noise, seed)
    given = weight_gradient(fresh(rule, seed), image, measured)
    expected = weight_gradient(fresh("exact", seed).double(), image.double(), measured.double())
    return float((given - expected).norm() / expected.norm())


def fresh(rule: str, seed: int) -> CORONA:
    """A network before training, the same for all rules."""
    torch.manual_seed(seed)
    network = CORONA(iterations=4, gradient=rule)  # type: ignore[arg-type]
    for iteration in network.iterations:
        torch.nn.init.constant_(iteration.prox.threshold_logit, -4.0)  # near the singular values that are tied
    return network


def trained_psnr(rule: str, noise: float, steps: int, seed: int) -> float:
    """The PSNR of the sparse part after a training, dB; NaN where weights are no numbers."""
    network = fresh(rule, seed)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    for step in range(steps):
        optimizer.zero_grad()
        loss(network, *videos(BATCH, noise, 1000 * seed + step)).backward()
        optimizer.step()
    image, measured = videos(8, noise, TEST_SEED)
    with torch.no_grad():
        return float(psnr(part(network, measured)[:, 1], image[:, 1]).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=float, nargs="*", default=[0.0, 0.01])
    arguments = parser.parse_args()
    for noise in arguments.noise:
        table = Table(title=f"noise {noise:g}, {arguments.steps} steps, {arguments.seeds} seeds")
        for column in ("gradient", "error of the first gradient", "PSNR of the sparse part, dB, by seed", "mean"):
            table.add_column(column)
        for rule in RULES:
            error = mean(gradient_error(rule, noise, seed) for seed in range(arguments.seeds))
            values = [attempt(rule, noise, arguments.steps, seed) for seed in range(arguments.seeds)]
            table.add_row(rule, f"{error:.1e}", ", ".join(f"{value:.2f}" for value in values), f"{mean(values):.2f}")
        Console(width=110).print(table)


def attempt(rule: str, noise: float, steps: int, seed: int) -> float:
    """The PSNR after a training, NaN where it fails."""
    try:
        return trained_psnr(rule, noise, steps, seed)
    except (RuntimeError, ValueError):  # decompositions refuse matrices that are no numbers
        return float("nan")


if __name__ == "__main__":
    main()
