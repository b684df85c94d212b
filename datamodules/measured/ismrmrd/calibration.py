"""Separate calibration of coils in ISMRMRD files: its readouts and their k-space."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.header import Header
from datamodules.measured.ismrmrd.lines import (
    CALIBRATION,
    NOT_IMAGE,
    REVERSE,
    Lines,
    flags_of,
    integers,
    measured_samples,
)


class Calibration(NamedTuple):
    """K-space for the calibration of the coils of a slice, averaged over all its readouts.

    Attributes:
        kspace: (coil, kx, ky), complex64, in the units of the file; zero where not sampled.
        sampled: (kx, ky), boolean.
    """

    kspace: npt.NDArray[np.complex64]
    sampled: npt.NDArray[np.bool_]


def find_calibration(
    heads: npt.NDArray[Any], header: Header, sizes: Mapping[str, int], first_ky: int, file_size: int
) -> Lines | None:
    """Return the lines for calibration alone, with their slice and ky; None if there are none that fit the image.

    They fit if they have the number of coils and the direction of the image, and lie within its k-space.

    Args:
        heads: of all readouts.
        header: of the file.
        sizes: of the image's k-space.
        first_ky: index of its first line.
        file_size: in bytes; lines of more samples than it can hold do not fit.
    """
    flags = heads["flags"]
    chosen = (flags & flags_of(CALIBRATION) != 0) & (flags & flags_of(*NOT_IMAGE.values(), REVERSE) == 0)
    rows = np.flatnonzero(chosen & (heads["encoding_space_ref"] == 0))
    if header.calibration_is_embedded or not len(rows):
        return None
    channels, samples, centers = (
        integers(heads[name][rows]) for name in ("active_channels", "number_of_samples", "center_sample")
    )
    ky = integers(heads["idx"]["kspace_encode_step_1"][rows]) + first_ky
    first_kx = _first_sample(int(samples[0]), int(centers[0]), sizes["kx"])
    if (
        (channels != sizes["coil"]).any()
        or np.ptp(samples) > 0
        or np.ptp(centers) > 0
        or not 0 <= first_kx <= sizes["kx"] - samples[0]
        or not 0 <= ky.min() <= ky.max() < sizes["ky"]
        or len(rows) * sizes["coil"] * int(samples[0]) * 8 > file_size
    ):
        return None
    counters = {"slice": integers(heads["idx"]["slice"][rows]), "ky": ky}
    measured = measured_samples(heads[rows], int(samples[0]), header.pilot_tone)
    return Lines(rows, counters, sizes["coil"], int(samples[0]), centers, measured)


def assemble_calibration(
    readouts: Iterable[list[npt.NDArray[np.complex64]]], lines: Lines, sizes: Mapping[str, int]
) -> Calibration:
    """Average the readouts of each line.

    Args:
        readouts: (coil, sample) each, block after block, as :func:`read_samples` yields them.
        lines: of the readouts.
        sizes: of the image's k-space.
    """
    total = np.zeros((sizes["ky"], sizes["coil"], sizes["kx"]), np.complex64)
    first = _first_sample(lines.samples, int(lines.centers[0]), sizes["kx"])
    kx = slice(first, first + lines.samples)
    numbers = np.zeros((sizes["ky"], sizes["kx"]), np.intp)
    places = iter(zip(lines.counters["ky"], lines.measured, strict=True))
    for block in readouts:
        for readout in block:
            ky, measured = next(places)
            total[ky, :, kx] += readout * measured
            numbers[ky, kx] += measured
    mean = total / np.maximum(numbers, 1)[:, None]
    return Calibration(np.ascontiguousarray(mean.transpose(1, 2, 0), np.complex64), numbers.T > 0)


def _first_sample(samples: int, center: int, encoded: int) -> int:
    """Return the first kx of a readout, of which a short one is placed so that its centre is that of k-space."""
    return 0 if samples == encoded else encoded // 2 - center
