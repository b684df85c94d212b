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

from lowrank_unroll.errors import UsageError
from lowrank_unroll.names import printable
from lowrank_unroll.networks.cfl_files import read_cfl, write_cfl
from lowrank_unroll.operators import Fourier, LinearOperator, cartesian_parts, check_tensor
from lowrank_unroll.sample import SERIES_AXES

Array = npt.NDArray[Any]

PROGRAM = "bart"
# Switches, numbers and terms such as T:1024:0:.003, and no names of files: a file of weights may hold these options.
NUMBER = r"[\d.eE+-]+"
OPTION = re.compile(rf"-[acegmnIN]|-l[12]|-R|-[CbfirsuwG]({NUMBER})?|[A-Z]\d?(:{NUMBER})+|{NUMBER}")
COLOUR = re.compile(r"\x1b\[\d*m")  # of terminals
SHOWN = 200  # characters of what the program says


class BART(nn.Module):
    """Reconstruct each series by ``bart pics``, parallel imaging with regularisation, of the BART toolbox.

    The program is installed apart, such as by ``apt-get install bart`` (mrirecon.github.io/bart), and takes as many
    threads as PyTorch. It runs on the CPU in single precision, and has no gradient.

    Args:
        options: of ``bart pics``. Dims of BART are 0 for the height, 1 for the width and 10 for time: -R T:1024:0:.003
            is total variation in time, -R L:3:3:.001 locally low rank. -S is added, so that the result is in the unit
            of the measurement. The default suits radial lines and variable density; for lines that vary from frame to
            frame, such as those of VISTA, "-m -i 100 -R T:1024:0:.003" is better.

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
                f"options is {options!r}, of which {unknown[0]!r} is none of `bart pics` that needs no file, as "
                "'-m -i 100 -R T:1024:0:.003' are; files and -S are given by the class"
            )

    @torch.no_grad()
    def forward(self, measurement: Tensor, operator: LinearOperator) -> Tensor:
        """Reconstruct a batch, series by series.

        Args:
            measurement: k-space, (batch, coil, time, height, width), complex.
            operator: ``Mask(mask) @ Fourier() @ coil_operator(sensitivities)``.

        Returns:
            The series, (batch, time, height, width), dtype and device of the measurement.

        Raises:
            UsageError: if the program is not installed, or fails, or the operator is another one.
        """
        check_tensor(measurement=measurement)
        parts = cartesian_parts(operator)
        if parts is None:
            raise UsageError(
                f"BART was given the operator {type(operator).__name__}, expected k-space on a grid: "
                "Mask(mask) @ Fourier() @ coil_operator(sensitivities)"
            )
        batch, coils, *shape = measurement.shape
        mask = parts.mask.broadcast_to(batch, 1, *shape)
        if parts.sensitivities is None:
            maps = measurement.new_ones(batch, 1, 1, *shape[1:])
        else:
            maps = parts.sensitivities.broadcast_to(batch, coils, 1, *shape[1:])
        samples = zip(*(part.cpu().numpy() for part in (measurement, maps, mask)), strict=True)
        series = [_pics(self.options, _counter_modulated(kspace), *others) for kspace, *others in samples]
        return torch.from_numpy(np.stack(series)).to(measurement)


def _pics(options: list[str], kspace: Array, maps: Array, mask: Array) -> Array:
    """Run the program on k-space, sensitivities and mask, each (coil, time, height, width)."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for part, array in {"kspace": kspace, "maps": maps, "mask": mask}.items():
            write_cfl(folder / part, np.expand_dims(array.transpose(2, 3, 0, 1), (2, *range(4, 10))))
        words = [_program(), "pics", *options, "-S", "-p", "mask", "kspace", "maps", "series"]
        threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
        done = subprocess.run(  # noqa: S603  words are checked
            words, cwd=folder, env=os.environ | threads, capture_output=True, check=False
        )
        if done.returncode or not (folder / "series.cfl").is_file():
            said = COLOUR.sub("", (done.stderr or done.stdout).decode(errors="replace")).strip()
            command = f"bart pics {shlex.join(options)}"
            raise UsageError(f"`{command}` failed ({done.returncode}): {printable(said[-SHOWN:])}")
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


def _counter_modulated(kspace: Array) -> Array:
    """K-space (coil, time, height, width) such that the program sees it centred as ours is.

    Up to BART 0.9 ``pics`` multiplies k-space by the modulation of a centred transform where its inverse belongs: the
    same for sides that are multiples of four, the other sign for other even ones, and another place for odd ones.
    """
    if not _modulates_twice(_program()):
        return kspace
    height, width = kspace.shape[-2:]
    counter: Array = kspace * (_modulation(height)[:, None] * _modulation(width)).conj() ** 2
    return counter


def _modulation(side: int) -> npt.NDArray[np.complex128]:
    """The factor (side,) that centres a Fourier transform: F_centred = M F M, M diagonal."""
    center = side // 2
    modulation: npt.NDArray[np.complex128] = np.exp(2j * np.pi * (np.arange(side) - center / 2) * center / side)
    return modulation


@lru_cache
def _modulates_twice(program: str) -> bool:
    """Try with a side that is even and no multiple of four, since versions are numbered otherwise by distributions."""
    ones = torch.ones(1, 1, 4, 6, dtype=torch.complex64)
    image = _pics(["-l2", "-i", "5"], Fourier()(ones).numpy(), ones.numpy(), ones.numpy())
    return bool(image.real.sum() < 0)
