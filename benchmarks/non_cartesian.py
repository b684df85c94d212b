"""Compare reconstructions of golden-angle radial series, with density weights and without, and BART's.

    python benchmarks/non_cartesian.py [--spokes 8 13 21 34] [--frames 8] [--size 128] [--coils 8] [--snr 50]
        [--powers 1 0.5 0] [--methods "locally low rank" "L+S"]

A heart of ellipses is measured in closed form, not by our operator, once for each number of spokes; the methods get the
same samples. The bundled network was trained on cines along trajectories. The density weights are taken to each of
some powers, scaled so that the norm of the operator is 1 again: 0 is the same weight for all samples. BART is given
k-space without weights. SER is of the complex series times the best factor, since the adjoint reconstruction has no
scale; seconds are those of the processor, of one thread, for one series.
"""

import argparse
import os

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from datamodules import EllipticPhantom
from lowrank_unroll.metrics import psnr, ser
from lowrank_unroll.networks import (
    BART,
    LocallyLowRankRecon,
    LowRankPlusSparseRecon,
    NuclearNormRecon,
    ViewSharing,
    ZeroFilled,
)
from lowrank_unroll.notebook import reconstruct
from lowrank_unroll.operators import unit_norm_weights
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import GoldenAngleRadial
from lowrank_unroll.weights import load_network

METHODS: dict[str, nn.Module] = {
    "gridding": ZeroFilled(),
    "view sharing": ViewSharing(),
    "nuclear norm": NuclearNormRecon(),
    "L+S": LowRankPlusSparseRecon(),
    "locally low rank": LocallyLowRankRecon(),
    "dynamic_mri": load_network("dynamic_mri"),
}
PROGRAM: dict[str, nn.Module] = {
    "BART, LLR": BART("-m -i 100 -b 8 -R L:3:3:.001"),
    "BART, TV": BART("-m -i 100 -R T:1024:0:.003"),
    "BART, LLR and TV": BART("-m -i 100 -b 8 -R L:3:3:.001 -R T:1024:0:.001"),
}


def with_power(sample: Sample, power: float) -> Sample:
    """Return a sample whose weights are those of the density to a power."""
    trajectory, weights = sample.trajectory[None], sample.weights[None]
    changed = unit_norm_weights(weights**power, trajectory, sample.coil_sensitivities.shape[-2:])
    return sample._replace(measurement=sample.measurement * (changed / weights).sqrt()[0], weights=changed[0])


def seconds() -> float:
    """Return the processor's seconds of this process and of its finished children."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(network: nn.Module, sample: Sample) -> Tensor:
    """Return SER and PSNR in dB, and seconds."""
    began = seconds()
    image = reconstruct(network, sample)[None]
    taken = seconds() - began
    target = sample.target[None]
    image = image * (image.conj() * target).sum() / image.abs().square().sum()
    return torch.tensor([float(ser(image, target)), float(psnr(image.abs(), target.abs())), taken])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spokes", type=int, nargs="+", default=[8, 13, 21, 34])
    parser.add_argument("--powers", type=float, nargs="+", default=[1, 0], help="of the density weights")
    names = [*METHODS, *PROGRAM]
    parser.add_argument("--methods", choices=names, metavar="NAME", nargs="+", default=names)
    for name, default in (("frames", 8), ("size", 128), ("coils", 8), ("snr", 50), ("seeds", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("method", "weights", *(f"{spokes} spokes" for spokes in arguments.spokes), title="SER / PSNR (s)")
    cells: dict[tuple[str, str], list[str]] = {}
    for spokes in arguments.spokes:
        results: dict[tuple[str, str], list[Tensor]] = {}
        size = arguments.frames, arguments.size, arguments.size
        pattern = GoldenAngleRadial(spokes)
        data = EllipticPhantom(pattern, arguments.coils, arguments.snr, size, test_series=arguments.seeds)
        hearts = data.measured("test")
        for seed in range(arguments.seeds):
            sample = hearts[seed]
            weighted = {f"power {power:g}": with_power(sample, power) for power in arguments.powers}
            cases = [(name, weights, METHODS) for weights in weighted for name in METHODS]
            cases += [(name, "none", PROGRAM) for name in PROGRAM]
            for name, weights, methods in cases:
                if name in arguments.methods:
                    value = measure(methods[name], weighted.get(weights, sample))
                    results.setdefault((name, weights), []).append(value)
        for case, values in results.items():
            quality, decibels, taken = torch.stack(values).mean(0).tolist()
            cells.setdefault(case, []).append(f"{quality:.2f} / {decibels:.2f} ({taken:.1f})")
            print(spokes, *case, cells[case][-1], flush=True)  # noqa: T201  some methods take minutes
    for (name, weights), row in cells.items():
        table.add_row(name, weights, *row)
    Console().print(table)


if __name__ == "__main__":
    main()
