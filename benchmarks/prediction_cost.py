"""Measure seconds and memory of predictions of photographs and series of several sizes, each in its own process.

    python benchmarks/prediction_cost.py [--threads 1] [--case NAME SIZE]

A photograph is the bundled cat, enlarged; 40 % of its values are known. A series is a beating disk of one coil, of
which every fourth line is measured. Times are those of the processor, the least of some repeats after a first call;
memory is the peak above what is there before.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from resident_memory import resident_megabytes
from rich.console import Console
from rich.progress import track
from rich.table import Table

from datamodules import measure_image, measure_series
from lowrank_unroll.networks import NonLocalLowRankRecon, NormalizedConvolution
from lowrank_unroll.notebook import reconstruct
from lowrank_unroll.prox import match_patches
from lowrank_unroll.sampling import EquispacedLines
from lowrank_unroll.weights import load_network

REPEATS = 3
CASES = {
    "match_patches": (256, 1024),
    "NormalizedConvolution": (256, 512, 1024),
    "NonLocalLowRankRecon": (256, 512),
    "color_cs": (256, 512),
    "dynamic_mri": (128,),
}
FRAMES = 12


def photograph(size: int) -> npt.NDArray[np.float32]:
    """The bundled cat, (size, size, 3), from 0 to 1."""
    from skimage.data import cat  # noqa: PLC0415  not where a series is measured
    from skimage.transform import resize  # noqa: PLC0415

    return resize(cat()[:300, 100:400], (size, size), order=3, clip=True).astype(np.float32)


def heart(size: int) -> npt.NDArray[np.float32]:
    """A disk that beats, (FRAMES, size, size)."""
    places = np.linspace(-1, 1, size)
    radius = 0.4 + 0.1 * np.sin(np.linspace(0, 2 * np.pi, FRAMES))
    return (np.hypot(places[:, None], places) < radius[:, None, None]).astype(np.float32)


def call_of(name: str, size: int) -> Callable[[], object]:
    """Return the call that a case measures."""
    if name == "match_patches":
        image = torch.from_numpy(photograph(size)).permute(2, 0, 1)[None].contiguous()
        return lambda: match_patches(image, 2, 2, 16, 10)
    series = name == "dynamic_mri"
    sample = measure_series(heart(size), EquispacedLines(4), snr=50) if series else measure_image(photograph(size))
    untrained = {"NormalizedConvolution": NormalizedConvolution, "NonLocalLowRankRecon": NonLocalLowRankRecon}
    network = untrained[name]() if name in untrained else load_network(name)
    return lambda: reconstruct(network, sample)


def measure(name: str, size: int) -> tuple[float, float]:
    """Return CPU seconds and megabytes of a case, in this process, which must be fresh."""
    call = call_of(name, size)
    with torch.inference_mode():
        before = resident_megabytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far (Linux)
        call()
        megabytes = resident_megabytes("VmHWM") - before
        times = []
        for _ in range(REPEATS):
            start = time.process_time()
            call()
            times.append(time.process_time() - start)
    return min(times), megabytes


def main() -> None:
    """Measure all cases, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--case", nargs=2, metavar=("NAME", "SIZE"), help="one case alone, printed as JSON")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.case:
        print(json.dumps(measure(arguments.case[0], int(arguments.case[1]))))  # noqa: T201
        return
    table = Table("case", "pixels a side", "seconds", "us a pixel", "MB", "kB a pixel")
    words = [sys.executable, __file__, "--threads", str(arguments.threads), "--case"]
    for name, size in track([(name, size) for name, sizes in CASES.items() for size in sizes], transient=True):
        run = subprocess.run([*words, name, str(size)], check=True, capture_output=True, text=True)  # noqa: S603
        seconds, megabytes = json.loads(run.stdout)
        pixels = size**2
        each = f"{1e6 * seconds / pixels:.2f}", f"{megabytes:.0f}", f"{1e3 * megabytes / pixels:.2f}"
        table.add_row(name, str(size), f"{seconds:.2f}", *each)
    Console().print(table)


if __name__ == "__main__":
    main()
