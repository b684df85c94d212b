"""Reconstruction by the program BART, a baseline without training."""

import os
import re
import shlex
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from lowrank_unroll.errors import UsageError
from lowrank_unroll.names import printable
from lowrank_unroll.networks.cfl_files import read_cfl, write_cfl
from lowrank_unroll.operators import (
    Fourier,
    LinearOperator,
    TrajectoryParts,
    cartesian_parts,
    check_tensor,
    trajectory_parts,
)
from lowrank_unroll.sample import SERIES_AXES

Array = npt.NDArray[Any]

PROGRAM = "bart"
# Switches, numbers and terms such as T:1024:0:.003. File names are refused, since options may come from a stranger's
# file of weights.
NUMBER = r"[\d.eE+-]+"
OPTION = re.compile(rf"-[acegmnIN]|-l[12]|-R|-[CbfirsuwG]({NUMBER})?|[A-Z]\d?(:{NUMBER})+|{NUMBER}")
ANSI_COLOR = re.compile(r"\x1b\[\d*m")
SHOWN = 200  # last characters of the program's output


class BART(nn.Module):
    """Reconstruct each series by ``bart pics``, parallel imaging with regularisation, of the BART toolbox.

    Install the program first, such as by ``apt-get install bart`` (mrirecon.github.io/bart). It runs on the CPU with as
    many threads as PyTorch, in single precision, and has no gradient.

    Args:
        options: of ``bart pics``. Dims of BART are 0 for the height, 1 for the width and 10 for time: -R T:1024:0:.003
            is total variation in time, -R L:3:3:.001 locally low rank. -S is added, so that the result is in the unit
            of the measurement. The default suits pseudo-radial and variable-density sampling; for lines that vary from
            frame to frame, such as those of VISTA, "-m -i 100 -R T:1024:0:.003" is better.

    Raises:
        ValueError: if an option names a file or is unknown.
    """

    image_axes: ClassVar[tuple[str, ...] | None] = SERIES_AXES

    def __init__(self, options: str = "-m -i 100 -b 8 -R L:3:3:.001 -R T:1024:0:.001") -> None:
        super().__init__()
        self.options = shlex.split(options)
        unknown = [word for word in self.options if not OPTION.fullmatch(word)]
        if unknown:
            raise ValueError(
                f"options is {options!r}, but {unknown[0]!r} is no option of `bart pics` or names a file: expected "
                "options such as '-m -i 100 -R T:1024:0:.003'; the class adds files and -S"
            )

    @torch.no_grad()
    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Reconstruct a batch, series by series.

        Args:
            measurement: k-space, (batch, coil, time, height, width), complex; along a trajectory (batch, coil, time,
                samples).
            operator: that of :func:`lowrank_unroll.operators.series_operator`. Along a trajectory the program is given
                its positions (-t), and k-space without the weights.

        Returns:
            The series, (batch, time, height, width), dtype and device of the measurement.

        Raises:
            UsageError: if the program is not installed or fails, or the operator is of another kind.
        """
        check_tensor(measurement=measurement)
        if along := trajectory_parts(operator):
            return _along_trajectory(self.options, measurement, along)
        parts = cartesian_parts(operator)
        if parts is None:
            raise UsageError(
                f"BART was given the operator {type(operator).__name__}, expected k-space on a grid, "
                "Mask(mask) @ Fourier() @ coil_operator(sensitivities), or along a trajectory, see series_operator"
            )
        batch, coils, *shape = measurement.shape
        mask = parts.mask.broadcast_to(batch, 1, *shape)
        if parts.sensitivities is None:
            maps = measurement.new_ones(batch, 1, 1, *shape[1:])
        else:
            maps = parts.sensitivities.broadcast_to(batch, coils, 1, *shape[1:])
        samples = zip(*(part.cpu().numpy() for part in (measurement, maps, mask)), strict=True)
        series = [_pics(self.options, _without_double_modulation(kspace), *others) for kspace, *others in samples]
        return torch.from_numpy(np.stack(series)).to(measurement)


def _along_trajectory(options: list[str], measurement: Tensor, parts: TrajectoryParts) -> Tensor:
    """Reconstruct a batch of k-space along a trajectory.

    The program transforms images with odd sides wrongly: they get a row or a column of zeros.
    """
    batch, _, *samples = measurement.shape
    sides = torch.tensor(parts.sensitivities.shape[-2:])
    odd = sides % 2
    maps = pad(parts.sensitivities, (int(odd[1]), 0, int(odd[0]), 0)).expand(batch, -1, -1, -1, -1)
    enlarged = (sides + odd) / sides
    # What has no weight is zero in the measurement, as if it was not measured.
    measured = parts.mask & (parts.amplitudes > 0)
    kspace = measurement / parts.amplitudes.where(measured, 1) / float(enlarged.prod().sqrt())
    trajectory = (parts.trajectory.cpu() * enlarged).expand(batch, *samples, 2)
    arrays = (kspace[:, :, :, None], maps, measured.expand(batch, 1, *samples)[:, :, :, None], trajectory)
    series = [_pics(options, *one) for one in zip(*(part.cpu().numpy() for part in arrays), strict=True)]
    return torch.from_numpy(np.stack(series)[..., odd[0] :, odd[1] :]).to(measurement)


def _pics(options: list[str], kspace: Array, maps: Array, mask: Array, trajectory: Array | None = None) -> Array:
    """Run the program on k-space, sensitivities and mask, each (coil, time, height, width).

    Along a trajectory (time, samples, 2), in cycles per field of view, k-space and mask are (coil, time, 1, samples).
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part, array in {"kspace": kspace, "maps": maps, "mask": mask}.items():
            write_cfl(folder / part, np.expand_dims(array.transpose(2, 3, 0, 1), (2, *range(4, 10))))
        along = []
        if trajectory is not None:
            positions = np.pad(trajectory.T, ((0, 1), (0, 0), (0, 0)))  # in three dims
            write_cfl(folder / "trajectory", np.expand_dims(positions, tuple(range(2, 10))))
            along = ["-t", "trajectory"]
        command = [_program(), "pics", *options, "-S", *along, "-p", "mask", "kspace", "maps", "series"]
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        done = subprocess.run(  # noqa: S603  the options are checked
            command, cwd=folder, env=os.environ | threads, capture_output=True, check=False
        )
        if done.returncode or not (folder / "series.cfl").is_file():
            output = ANSI_COLOR.sub("", (done.stderr or done.stdout).decode(errors="replace")).strip()
            shown = f"bart pics {shlex.join(options)}"
            raise UsageError(f"`{shown}` failed ({done.returncode}): {printable(output[-SHOWN:])}")
        series = read_cfl(folder / "series")
    height, width, time = series.shape[0], series.shape[1], series.shape[10]
    return series.reshape(height, width, time).transpose(2, 0, 1)


def _program() -> str:
    found = shutil.which(PROGRAM)
    if found is None:
        raise UsageError(
            f"the program {PROGRAM} is not on the PATH: install it, such as by `apt-get install bart` "
            "(https://mrirecon.github.io/bart), or leave the method BART out"
        )
    return found


def _without_double_modulation(kspace: Array) -> Array:
    """Undo a bug of ``pics`` in k-space (coil, time, height, width).

    Up to version 0.9 it multiplies k-space by the modulation of the centered transform instead of by its inverse. For
    sides that are multiples of four, both are the same; for other even ones the sign differs, for odd ones more.
    """
    if not _modulates_twice(_program()):
        return kspace
    height, width = kspace.shape[-2:]
    counter: Array = kspace * (_modulation(height)[:, None] * _modulation(width)).conj() ** 2
    return counter


def _modulation(side: int) -> npt.NDArray[np.complex128]:
    """Return the diagonal (side,) of M in F_centered = M F M, for the uncentered Fourier transform F."""
    center = side // 2
    modulation: npt.NDArray[np.complex128] = np.exp(2j * np.pi * (np.arange(side) - center / 2) * center / side)
    return modulation


@lru_cache
def _modulates_twice(program: str) -> bool:
    """Test for the bug with a side that is even but no multiple of four, since distributions change version numbers."""
    ones = torch.ones(1, 1, 4, 6, dtype=torch.complex64)
    image = _pics(["-l2", "-i", "5"], Fourier()(ones).numpy(), ones.numpy(), ones.numpy())
    return bool(image.real.sum() < 0)
