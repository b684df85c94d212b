"""Time, error and memory of the non-uniform Fourier transform beside other libraries, in one run.

    python benchmarks/non_uniform_fourier.py [--frames 16 --spokes 34 --side 128 --coils 8] [--growth]

A series of images at golden-angle radial spokes, another trajectory for each frame. The times are CPU seconds of one
thread, the best of several, since the clock also counts what else the machine does. Libraries that are not installed
are left out (torchkbnufft, finufft, pytorch-finufft; BART by its command, whose times include its files).
"""

import argparse
import importlib.util
import math
import multiprocessing
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from resident_memory import resident_megabytes
from rich.console import Console
from torch import Tensor

from lowrank_unroll.operators import NonUniformFourier

GOLDEN_ANGLE = math.pi * (math.sqrt(5) - 1) / 2
GROWTH = {"frames": (4, 8, 32), "spokes": (8, 17, 68), "side": (64, 96, 192), "coils": (1, 4, 16)}
Transform = Callable[[Tensor], Tensor]
show = partial(Console(width=120, highlight=False).print, markup=False)


@dataclass(frozen=True)
class Problem:
    """A series of images of several coils, and its radial samples."""

    frames: int = 16
    spokes: int = 34
    side: int = 128
    coils: int = 8

    def trajectory(self) -> Tensor:
        """(1, time, samples, 2), cycles per field of view; the readout is sampled twice as densely as needed."""
        angles = GOLDEN_ANGLE * torch.arange(self.frames * self.spokes)[:, None]
        radius = torch.arange(2 * self.side) / 2 - self.side / 2
        return torch.stack([radius * angles.sin(), radius * angles.cos()], -1).reshape(1, self.frames, -1, 2)

    def images(self) -> Tensor:
        """(1, coil, time, height, width), white noise."""
        size = (1, self.coils, self.frames, self.side, self.side)
        return torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.complex64)


@dataclass(frozen=True)
class Library:
    """One way to compute A x and A^H y, and what it takes to prepare it."""

    name: str
    prepare: Callable[[Problem], tuple[Transform, Transform]]
    differentiable: bool = False


def ours(problem: Problem, accuracy: float) -> tuple[Transform, Transform]:
    """Prepare NonUniformFourier."""
    operator = NonUniformFourier(problem.trajectory(), (problem.side, problem.side), accuracy)
    return operator.forward, operator.adjoint


def torchkbnufft(problem: Problem) -> tuple[Transform, Transform]:
    """Prepare its interpolation by tables, frames as a batch."""
    import torchkbnufft as tkbn  # noqa: PLC0415

    size = (problem.side, problem.side)
    radians = (problem.trajectory()[0] * 2 * math.pi / problem.side).mT.contiguous()
    forward, adjoint = tkbn.KbNufft(size), tkbn.KbNufftAdjoint(size)

    def apply(image: Tensor) -> Tensor:
        return forward(image[0].transpose(0, 1).contiguous(), radians).transpose(0, 1)[None] / problem.side

    def back(samples: Tensor) -> Tensor:
        return adjoint(samples[0].transpose(0, 1).contiguous(), radians).transpose(0, 1)[None] / problem.side

    return apply, back


def pytorch_finufft(problem: Problem) -> tuple[Transform, Transform]:
    """Prepare its functions, called for one frame after the other."""
    from pytorch_finufft.functional import finufft_type1, finufft_type2  # noqa: PLC0415

    radians = (problem.trajectory()[0] * 2 * math.pi / problem.side).mT.contiguous()
    size = (problem.side, problem.side)

    def apply(image: Tensor) -> Tensor:
        frames = [
            finufft_type2(points, frame.contiguous(), eps=1e-3, isign=-1, modeord=0)
            for points, frame in zip(radians, image[0].unbind(1), strict=True)
        ]
        return torch.stack(frames, 1)[None] / problem.side

    def back(samples: Tensor) -> Tensor:
        frames = zip(radians, samples[0].unbind(1), strict=True)
        images = [
            finufft_type1(points, frame.contiguous(), size, eps=1e-3, isign=1, modeord=0) for points, frame in frames
        ]
        return torch.stack(images, 1)[None] / problem.side

    return apply, back


def finufft_plans(problem: Problem) -> tuple[Transform, Transform]:
    """Prepare a plan of FINUFFT for each frame and direction."""
    import finufft  # noqa: PLC0415

    radians = (problem.trajectory()[0] * 2 * math.pi / problem.side).mT.contiguous().numpy()
    plans: dict[int, list[finufft.Plan]] = {1: [], 2: []}
    for kind, sign in ((2, -1), (1, 1)):
        for points in radians:
            size = (problem.side, problem.side)
            plan = finufft.Plan(kind, size, problem.coils, 1e-3, sign, dtype="complex64", nthreads=1)
            plan.setpts(*points)
            plans[kind].append(plan)

    def run(kind: int, given: Tensor) -> Tensor:
        frames = zip(plans[kind], given[0].unbind(1), strict=True)
        done = [plan.execute(np.ascontiguousarray(frame.numpy())) for plan, frame in frames]
        return torch.from_numpy(np.stack(done, 1))[None].reshape(
            1, problem.coils, problem.frames, *done[0].shape[1:]
        ) / (problem.side)

    return lambda image: run(2, image), lambda samples: run(1, samples)


LIBRARIES = (
    Library("NonUniformFourier, accuracy 1e-3", partial(ours, accuracy=1e-3), differentiable=True),
    Library("NonUniformFourier, accuracy 1e-5", partial(ours, accuracy=1e-5), differentiable=True),
    Library("torchkbnufft", torchkbnufft, differentiable=True),
    Library("pytorch-finufft, eps 1e-3", pytorch_finufft, differentiable=True),
    Library("finufft plans, eps 1e-3", finufft_plans),
)


def installed() -> Iterator[Library]:
    """Our own transform, and the others whose packages are there."""
    for library in LIBRARIES:
        package = library.name.partition(",")[0].partition(" ")[0].replace("-", "_")
        if package == "NonUniformFourier" or importlib.util.find_spec(package):
            yield library


def exact(problem: Problem, image: Tensor, frame: int) -> Tensor:
    """Return the samples (coil, samples) of a frame by the sum over all pixels, in float64."""
    position = torch.arange(problem.side) - problem.side // 2
    phases = -2j * math.pi * problem.trajectory()[0, frame].double()[..., None] * position / problem.side
    height, width = phases.exp().unbind(1)
    return torch.einsum("sh,chw,sw->cs", height, image[0, :, frame].to(torch.complex128), width) / problem.side


def best(call: Callable[[], object], repeats: int) -> float:
    """CPU milliseconds of the fastest call after the first."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(1e3 * (time.process_time() - start))
    return min(times)


def gradient(apply: Transform, image: Tensor, samples: Tensor) -> Tensor:
    """Return the gradient of the squared residual by autograd."""
    image = image.detach().requires_grad_()
    return torch.autograd.grad(0.5 * (apply(image) - samples).abs().square().sum(), image)[0]


def measure(library: Library, problem: Problem, repeats: int) -> None:
    """Print a row of the table; the memory is the growth of the process's peak."""
    torch.set_num_threads(1)
    image, before = problem.images(), resident_megabytes("VmHWM")
    forward, adjoint = library.prepare(problem)
    samples = forward(image)
    random = torch.randn(samples.shape, dtype=torch.complex64)

    def both() -> object:
        return gradient(forward, image, random) if library.differentiable else adjoint(forward(image) - random)

    row = [best(lambda: library.prepare(problem), max(1, repeats // 3)), best(lambda: forward(image), repeats)]
    row += [best(lambda: adjoint(random), repeats), best(both, repeats)]
    megabytes = resident_megabytes("VmHWM") - before
    expected = exact(problem, image, 0)
    error = float((samples[0, :, 0] - expected).norm() / expected.norm())
    numbers = " | ".join(f"{value:.0f}" for value in row)
    show(f"| {library.name} | {numbers} | {error:.1e} | {megabytes:.0f} |")


def measure_gram(problem: Problem, repeats: int) -> None:
    """Print the time of A^H A x, and of the convolution on a grid of twice the size that would replace it."""
    image, side = problem.images(), problem.side
    operator = NonUniformFourier(problem.trajectory(), (side, side))
    transfer = torch.randn(problem.frames, 2 * side, 2 * side)

    def convolution() -> Tensor:
        grid = torch.fft.fft2(image, s=(2 * side, 2 * side)) * transfer
        return torch.fft.ifft2(grid)[..., :side, :side].contiguous()

    times = best(lambda: operator.gram(image), repeats), best(convolution, repeats)
    show(f"Gram operator: {times[0]:.0f} ms; as a convolution: {times[1]:.0f} ms")


def measure_bart(problem: Problem) -> None:
    """Print the row of `bart nufft`: a process for each transform."""
    flat = np.zeros((problem.frames, problem.trajectory().shape[2], 3), np.complex64)
    flat[..., :2] = problem.trajectory()[0].flip(-1)
    image, size = problem.images(), f"{problem.side}:{problem.side}:1"
    samples = flat.shape[1]
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder, name) for name in ("traj", "image", "kspace", "adjoint")}
        write_cfl(paths["traj"], flat, (3, samples, *[1] * 8, problem.frames))
        series = image[0].transpose(0, 1).numpy()
        write_cfl(paths["image"], series, (problem.side, problem.side, 1, problem.coils, *[1] * 6, problem.frames))
        forward = run_bart("nufft", paths["traj"], paths["image"], paths["kspace"])
        adjoint = run_bart("nufft", "-a", "-d", size, paths["traj"], paths["kspace"], paths["adjoint"])
        kspace = np.fromfile(paths["kspace"].with_suffix(".cfl"), np.complex64)
    found = torch.from_numpy(kspace.reshape(problem.frames, problem.coils, samples)[0])
    expected = exact(problem, image, 0)
    error = float((found - expected).norm() / expected.norm())
    show(f"| BART | | {forward:.0f} | {adjoint:.0f} | {forward + adjoint:.0f} | {error:.1e} | |")


def run_bart(*arguments: object) -> float:
    """CPU milliseconds of a command of BART, the best of three."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command, environment = ["bart", *map(str, arguments)], {**os.environ, "OMP_NUM_THREADS": "1"}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)  # noqa: S603
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
    return min(times)


def write_cfl(path: Path, values: np.ndarray, dims: tuple[int, ...]) -> None:
    """Write an array of BART, whose first dim is that of our last."""
    path.with_suffix(".hdr").write_text("# Dimensions\n" + " ".join(map(str, dims)) + "\n")
    np.ascontiguousarray(values).tofile(path.with_suffix(".cfl"))


def in_own_process(call: Callable[..., None], *arguments: object) -> None:
    """Call in a process of its own: peaks of memory do not add up, nor do libraries share their threads."""
    process = multiprocessing.get_context("spawn").Process(target=call, args=arguments)
    process.start()
    process.join()


def main() -> None:
    """Parse the arguments and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in vars(Problem()).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--growth", action="store_true", help="also with one size changed at a time, ours")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    problem = Problem(arguments.frames, arguments.spokes, arguments.side, arguments.coils)
    show(problem, "\n| library | prepare, ms | A | A^H | A and gradient | error | MB |\n|---|---|---|---|---|---|---|")
    for library in installed():
        in_own_process(measure, library, problem, arguments.repeats)
    if shutil.which("bart"):
        measure_bart(problem)
    measure_gram(problem, arguments.repeats)
    for name, values in GROWTH.items() if arguments.growth else ():
        for value in values:
            ours_at_size = replace(LIBRARIES[0], name=f"{name} {value}")
            in_own_process(measure, ours_at_size, replace(problem, **{name: value}), arguments.repeats)


if __name__ == "__main__":
    main()
