"""The command ``lowrank-unroll phantom FILE``."""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from datamodules.dynamic_mri.elliptic_scan import NAMES, EllipticScan
from datamodules.dynamic_mri.phantom_scan import PhantomScan
from datamodules.loading.caches import write_hdf5
from datamodules.measured.ismrmrd.header import CARTESIAN
from datamodules.measured.ismrmrd.writer import write_ismrmrd, write_trajectory_scan
from lowrank_unroll import sampling
from lowrank_unroll.command_line.command_parser import CommandParser
from lowrank_unroll.errors import UsageError, first_line
from lowrank_unroll.terminal import say

PATTERNS = ("EquispacedLines", "KtGaussian", "RandomLines", "Vista")
SUFFIXES = (".h5", ".mrd")
# Options of one kind of scan alone.
OF_LINES = ("--pattern", "--acceleration", "--calibration")
OF_TRAJECTORIES = ("--spokes",)


def phantom(argv: Sequence[str]) -> None:
    """Write a simulated beating heart as a scanner's raw file.

    Args:
        argv: the arguments of the command.

    Raises:
        UsageError: if they cannot be parsed, or a file exists already.
        ModuleNotFoundError: if the package ismrmrd is not installed.
        OSError: if a file cannot be written.
    """
    arguments = _parse(argv)
    _check_kind(arguments.trajectory, argv)
    reference = getattr(arguments, "reference", None)
    if reference is not None and _is_same(reference, arguments.file):
        raise UsageError(f"{reference} cannot be the raw file and its reference: give two names")
    for path in filter(None, (arguments.file, reference)):
        if path.exists():
            raise UsageError(f"{path} exists already: give another name, or remove it first")
    summary, heart = (_write_lines if arguments.trajectory == CARTESIAN else _write_trajectory)(arguments)
    if reference is not None:
        write_hdf5(reference, [("series", heart.numpy())])
    name = shlex.quote(str(arguments.file))
    command = f"lowrank-unroll predict --config dynamic_mri/locally_low_rank.yaml --data.predict_kspace {name}"
    say(f"Raw data: {arguments.file}, {summary}. To reconstruct them:\n  {command}")


def _write_lines(arguments: argparse.Namespace) -> tuple[str, Tensor]:
    try:
        pattern = getattr(sampling, arguments.pattern)(arguments.acceleration)
        scan, heart = PhantomScan(pattern, calibration=arguments.calibration, **_common(arguments)).measure()
    except ValueError as error:
        raise UsageError(first_line(error)) from error
    write_ismrmrd(arguments.file, scan)
    return f"{scan.sampled.mean():.1%} of the lines", heart


def _write_trajectory(arguments: argparse.Namespace) -> tuple[str, Tensor]:
    try:
        scan, heart = EllipticScan(arguments.trajectory, arguments.spokes, **_common(arguments)).measure()
    except ValueError as error:
        raise UsageError(first_line(error)) from error
    write_trajectory_scan(arguments.file, scan)
    return f"{arguments.spokes} {'spokes' if arguments.trajectory == 'radial' else 'interleaves'} per frame", heart


def _check_kind(trajectory: str, argv: Sequence[str]) -> None:
    """Refuse options of another kind of scan; whether they are given, their values do not tell."""
    others, kind = (OF_TRAJECTORIES, "radial and spiral") if trajectory == CARTESIAN else (OF_LINES, CARTESIAN.title())
    given = {word.partition("=")[0] for word in argv}
    if unused := [option for option in others if option in given]:
        raise UsageError(
            f"{', '.join(unused)}: of {kind} scans, but --trajectory is {trajectory}: leave out one or the other"
        )


def _common(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the fields that both kinds of scans have."""
    return {
        "size": tuple(arguments.size),
        "coils": arguments.coils,
        "snr": arguments.snr or None,
        "seed": arguments.seed,
    }


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = CommandParser(
        prog="lowrank-unroll phantom",
        usage="%(prog)s FILE [--OPTION VALUE ...]",
        description="Write a simulated beating heart as the raw file (ISMRMRD) of a scan: undersampled lines of "
        "several coils, readouts oversampled twofold, a noise scan, times after the trigger, and where the slice lies.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    default = PhantomScan(sampling.EquispacedLines(6))
    parser.add_argument("file", type=_raw_file, metavar="FILE", help="raw file to write, .h5 or .mrd")
    parser.add_argument(
        "--size", type=int, nargs=3, default=list(default.size), metavar=("FRAMES", "HEIGHT", "WIDTH"),
        help="size of the series; the readout is along the height",
    )  # fmt: skip
    parser.add_argument("--coils", type=int, default=default.coils, help="receive coils, whose noise is correlated")
    parser.add_argument(
        "--trajectory",
        choices=(CARTESIAN, *NAMES),
        metavar="NAME",
        default=CARTESIAN,
        help="lines of the pattern (cartesian), or spokes at golden angles (radial) or spirals (spiral), whose k-space "
        "is computed in closed form of a simpler heart, in some minutes",
    )
    parser.add_argument(
        "--spokes",
        type=int,
        default=EllipticScan().spokes,
        help="spokes of a frame, or interleaves of a spiral; not of Cartesian scans",
    )
    parser.add_argument(
        "--pattern",
        choices=PATTERNS,
        metavar="CLASS",
        default="EquispacedLines",
        help=f"sampling pattern of the lines of a Cartesian scan: {', '.join(PATTERNS)}",
    )
    parser.add_argument(
        "--acceleration", type=float, default=default.pattern.acceleration, help="acceleration of that pattern"
    )
    parser.add_argument(
        "--calibration", type=int, default=default.calibration, metavar="LINES",
        help="central lines of k-space, measured separately for the coil sensitivities",
    )  # fmt: skip
    parser.add_argument("--snr", type=float, default=default.snr, help="signal-to-noise ratio; 0 for no noise")
    parser.add_argument("--seed", type=int, default=default.seed, help="seed of all random numbers")
    parser.add_argument(
        "--reference", type=Path, default=argparse.SUPPRESS, metavar="FILE",
        help="also write the heart itself: an HDF5 file, the dataset `series` (time, height, width), complex",
    )  # fmt: skip
    return parser.parse_args(argv)


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two paths are the same file, also through links or on a case-insensitive file system."""
    return str(one.resolve()).casefold() == str(other.resolve()).casefold()


def _raw_file(text: str) -> Path:
    if Path(text).suffix.lower() not in SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a file that ends in {' or '.join(SUFFIXES)}")
    return Path(text)
