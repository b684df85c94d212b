"""Readouts of the image among all of a scan, and the positions of Cartesian ones in k-space."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.header import Header, Limit

DIMS = ("average", "repetition", "set", "contrast", "slice", "kz", "coil", "phase", "kx", "ky")
# Each index of these dimensions is a series.
SERIES_DIMS = ("slice", "average", "repetition", "set", "contrast")
ALWAYS_NAMED = ("slice", "average")

# The counters that place a readout in k-space, in the order of DIMS: names in the table of readouts and in the header.
COUNTERS = {
    "average": ("average", "average"),
    "repetition": ("repetition", "repetition"),
    "set": ("set", "set"),
    "contrast": ("contrast", "contrast"),
    "slice": ("slice", "slice"),
    "kz": ("kspace_encode_step_2", "kspace_encoding_step_2"),
    "phase": ("phase", "phase"),
    "ky": ("kspace_encode_step_1", "kspace_encoding_step_1"),
}

NOISE = 19
# Flags, by their numbers in the ISMRMRD standard, of readouts that are not lines of the image.
NOT_IMAGE = {
    "noise measurement": NOISE,
    "navigation": 23,
    "phase correction": 24,
    "feedback for heart position": 26,
    "dummy scan": 27,
    "real-time feedback": 28,
    "surface coil correction": 29,
    "phase stabilization reference": 30,
    "phase stabilization": 31,
}
CALIBRATION = 20  # for coil sensitivities alone
REVERSE = 22

PILOT_TONE_FIRST, PILOT_TONE_LAST = 3, 1  # samples of a readout that a pilot tone corrupts
MOST_UNDERSAMPLED = 32  # largest ratio of the size of k-space and the samples; beyond, sizes in the header are wrong


class Lines(NamedTuple):
    """Readouts that are lines of an image.

    Attributes:
        rows: of the lines in the table.
        counters: of each line, by the dimension of k-space.
        channels: number of channels, the same for all lines.
        samples: number of samples, the same for all lines.
        centers: the sample of each line at the centre of k-space.
        measured: the valid samples, (line, sample), boolean: False for samples to be discarded, or corrupted by a pilot
            tone.
    """

    rows: npt.NDArray[np.intp]
    counters: Mapping[str, npt.NDArray[np.intp]]
    channels: int
    samples: int
    centers: npt.NDArray[np.intp]
    measured: npt.NDArray[np.bool_]

    def kspace_index(self, start: int = 0, end: int | None = None) -> tuple[npt.NDArray[np.intp], ...]:
        """Return the indices of some lines in k-space, in the order of `COUNTERS`."""
        return tuple(counter[start:end] for counter in self.counters.values())

    def select(self, index: Mapping[str, int]) -> "Lines":
        """Select the lines at an index of some dimensions, whose counters become zero."""
        here = np.logical_and.reduce([self.counters[dim] == number for dim, number in index.items()], axis=0)
        here = np.broadcast_to(here, self.rows.shape)
        counters = {dim: counter[here] * (dim not in index) for dim, counter in self.counters.items()}
        return self._replace(
            rows=self.rows[here], counters=counters, centers=self.centers[here], measured=self.measured[here]
        )


def find_lines(heads: npt.NDArray[Any], header: Header, file_size: int) -> Lines:
    """Select the lines of the image among all readouts, by their heads.

    Raises:
        ValueError: if there are none, they are reversed or of another encoding, differ in channels or samples, have
            more samples than the file can hold, or no valid sample.
    """
    no_image = list(NOT_IMAGE.values()) if header.calibration_is_embedded else [*NOT_IMAGE.values(), CALIBRATION]
    is_line = heads["flags"] & flags_of(*no_image) == 0
    if not is_line.any():
        raise ValueError(f"none of {len(heads)} readouts is a line of an image")
    if (heads["flags"][is_line] & flags_of(REVERSE)).any():
        raise ValueError("some readouts are reversed, as in echo-planar imaging")
    if heads["encoding_space_ref"][is_line].any():
        raise ValueError("some readouts belong to another encoding than the first")
    counters = {dim: integers(heads["idx"][name][is_line]) for dim, (name, _) in COUNTERS.items()}
    channels = common_number(heads["active_channels"][is_line], "channels")
    samples = common_number(heads["number_of_samples"][is_line], "samples")
    number = int(is_line.sum())
    if number * channels * samples * 8 > file_size:
        raise ValueError(
            f"{number} readouts of {channels} channels and {samples} samples are more than {file_size} bytes can hold"
        )
    rows = np.flatnonzero(is_line)
    measured = measured_samples(heads[rows], samples, header.pilot_tone)
    if not measured.any():
        raise ValueError(f"all samples of the {number} readouts are to be discarded")
    return Lines(rows, counters, channels, samples, integers(heads["center_sample"][rows]), measured)


def flags_of(*numbers: int) -> np.uint64:
    """Return the bits of flags, which are numbered from 1."""
    return np.uint64(sum(1 << (number - 1) for number in numbers))


def integers(column: npt.NDArray[Any]) -> npt.NDArray[np.intp]:
    """Convert a column of the table to integers.

    Raises:
        TypeError: if it holds other numbers.
    """
    return column.astype(np.intp, casting="safe")


def common_number(column: npt.NDArray[Any], what: str) -> int:
    """Return the number of channels or samples that is the same in all readouts.

    Raises:
        ValueError: if they differ, or it is not positive.
    """
    least, most = int(integers(column).min()), int(column.max())
    if least != most or least < 1:
        raise ValueError(f"readouts have {least} to {most} {what}, expected the same positive number in all")
    return least


def measured_samples(heads: npt.NDArray[Any], samples: int, pilot_tone: bool) -> npt.NDArray[np.bool_]:
    """Return True for valid samples of some readouts, (readout, sample), see :class:`Lines`.

    Raises:
        ValueError: if more samples of a readout are to be discarded than it has.
    """
    before, after = integers(heads["discard_pre"]), integers(heads["discard_post"])
    if (before + after > samples).any():
        raise ValueError(f"{(before + after).max()} of the {samples} samples of a readout are to be discarded")
    if pilot_tone:
        before, after = np.maximum(before, PILOT_TONE_FIRST), np.maximum(after, PILOT_TONE_LAST)
    sample = np.arange(samples)
    measured: npt.NDArray[np.bool_] = (sample >= before[:, None]) & (sample < samples - after[:, None])
    return measured


def check_readouts(lines: Lines, header: Header) -> None:
    """Refuse readouts that do not fit the encoded matrix.

    Raises:
        ValueError: if readouts are longer than the encoded matrix, or shorter and not asymmetric echoes.
    """
    encoded = header.encoded.matrix_size[0]
    padding = encoded - lines.samples
    if padding < 0:
        raise ValueError(f"readouts have {lines.samples} samples, but the encoded matrix {encoded}")
    if padding and (2 * lines.centers >= encoded).any():
        raise ValueError(
            f"readouts have {lines.samples} of {encoded} samples, and their centre at {lines.centers.max()}, which is "
            f"no asymmetric echo"
        )


def sizes_of(lines: Lines, header: Header) -> tuple[dict[str, int], int]:
    """Return the size of each dimension, and the index of the first line of ky.

    Raises:
        ValueError: if a counter is beyond the header, or k-space is far larger than the samples.
    """
    kx, encoded_ky, _ = header.encoded.matrix_size
    sizes = {"coil": lines.channels, "kx": kx, **counter_sizes(lines, header, COUNTERS)}
    sizes["ky"], first_ky = _around_centre(sizes["ky"], header.limits.get(COUNTERS["ky"][1]), encoded_ky)
    acquired = len(lines.rows) * lines.channels * lines.samples
    if math.prod(sizes.values()) > MOST_UNDERSAMPLED * acquired:
        raise ValueError(f"k-space of {sizes} is more than {MOST_UNDERSAMPLED} times as large as the samples")
    return sizes, first_ky


def counter_sizes(lines: Lines, header: Header, dims: Iterable[str]) -> dict[str, int]:
    """Return the sizes of some dims of k-space that counters place readouts in.

    Raises:
        ValueError: if a counter is beyond the header.
    """
    sizes = {}
    for dim in dims:
        limit = header.limits.get(COUNTERS[dim][1])
        largest = int(lines.counters[dim].max())
        size = largest + 1 if limit is None else limit.maximum + 1
        sizes[dim] = header.encoded.matrix_size[2] if dim == "kz" else size
        if largest >= sizes[dim] or lines.counters[dim].min() < 0:
            raise ValueError(f"{dim} of some readout is {largest}, beyond the {sizes[dim]} of the header")
    return sizes


def _around_centre(lines: int, limit: Limit | None, encoded: int) -> tuple[int, int]:
    """Return the size of ky that has the centre of k-space in its middle, and the index of the first line."""
    # Some converters do not know the centre, and leave it at zero.
    if limit is None or limit.center in {0, lines // 2}:
        return lines, 0
    if not 0 < limit.center < lines:
        raise ValueError(f"the centre of ky is line {limit.center} of {lines} in the header")
    size = max(encoded, 2 * limit.center, 2 * (lines - limit.center) - 1)
    return size, size // 2 - limit.center
