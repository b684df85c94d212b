"""Reading Cartesian k-space from ISMRMRD files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.calibration import Calibration, assemble_calibration, find_calibration
from datamodules.measured.ismrmrd.header import CARTESIAN, Header
from datamodules.measured.ismrmrd.lines import COUNTERS, DIMS, SERIES_DIMS, Lines, check_readouts, sizes_of
from datamodules.measured.ismrmrd.scan_file import ISMRMRDError, Place, ScanFile, is_ismrmrd
from datamodules.measured.ismrmrd.table import read_samples

__all__ = ["ISMRMRDError", "KSpace", "Place", "RawFile", "is_ismrmrd", "read_ismrmrd"]


@dataclass(frozen=True)
class KSpace:
    """Assembled Cartesian k-space.

    Attributes:
        kspace: (average, repetition, set, contrast, slice, kz, coil, phase, kx, ky), that is `DIMS`, complex64, in the
            units of the file; zero where not sampled. At one index of the first six it is (coil, phase, kx, ky), which
            is (coil, time, height, width). It is a view: in memory, readouts are contiguous.
        sampled: as k-space but without coils, boolean.
        header: of the file.
        repeats: number of readouts that a later one at the same position has replaced.
    """

    kspace: npt.NDArray[np.complex64]
    sampled: npt.NDArray[np.bool_]
    header: Header
    repeats: int


class RawFile(ScanFile):
    """A Cartesian scan in an ISMRMRD file, whose k-space is assembled part by part.

    Sizes follow the reader that comes with the OCMR data [1]: those of kx and kz are the encoded matrix; those of ky
    and the others are the limit in the header plus one, or without a limit the largest counter plus one; that of the
    coils is the number of active channels. If the header says that the centre of k-space is not the middle line of ky,
    as in partial Fourier, ky has the size of the encoded matrix, or of what all lines need around the centre.

    An asymmetric echo, which is shorter than the encoded matrix and has its centre in the first half of that, is padded
    with zeros in front. Samples that a readout's head marks for discarding are zeroed and count as not sampled; with a
    pilot tone also at least the first three and the last of each readout. Noise scans, separate calibration and other
    readouts that are not lines of the image are not part of k-space. Of several readouts at the same position the last
    one counts; averages have a dimension of their own, segments do not.

    On some malformed files HDF5 itself hangs (h5py issue 2088) or takes gigabytes; read files from untrusted sources in
    a process with limits of time and memory.

    [1] Chen et al., OCMR (v1.0) - Open-Access Multi-Coil k-Space Dataset for Cardiovascular Magnetic Resonance Imaging,
    arXiv:2008.03410. The format: Inati et al., ISMRM Raw Data Format, Magn. Reson. Med. 77, 2017.

    Args:
        path: an HDF5 file.
        group: the group in that file with the datasets `xml` and `data`.

    Attributes:
        header: of the file.
        sizes: of k-space, by `DIMS`.

    Raises:
        FileNotFoundError: if there is no such file.
        ISMRMRDError: if the file cannot be read, or its readouts cannot be assembled: for instance if they have several
            encodings, unequal lengths, another trajectory, reversed readouts, counters beyond the limits, or if
            k-space would be more than 32 times as large as its samples.
    """

    kind = "Cartesian k-space"

    def __init__(self, path: Path, group: str = "dataset") -> None:
        super().__init__(path, group)
        with self._naming_errors():
            if self.header.trajectory != CARTESIAN:
                raise ValueError(f"the trajectory is {self.header.trajectory!r}, expected {CARTESIAN!r}")
            self.sizes, first_ky = sizes_of(self._lines, self.header)
            self._calibration = find_calibration(self._heads, self.header, self.sizes, first_ky, path.stat().st_size)
            self._lines.counters["ky"][:] += first_ky
            check_readouts(self._lines, self.header)

    def parts(self) -> Iterator[object]:
        """Read everything but the noise, first the calibrations, then series by series."""
        yield from map(self.calibration, range(self.sizes["slice"]))
        for index in self.indices(SERIES_DIMS):
            yield self.kspace(**index)

    def kspace(self, **index: int) -> KSpace:
        """Assemble the readouts at an index of some dimensions, which then have the size 1; without an index, all.

        Args:
            index: by the dimension, such as ``slice=2``.

        Raises:
            ISMRMRDError: if samples cannot be read, are too few or too many, or hold NaN or infinity.
        """
        lines = self._lines.select(index)
        sizes = {dim: 1 if dim in index else size for dim, size in self.sizes.items()}
        with self._opened() as content:
            kspace = _assembled(content["data"], lines, sizes)
        sampled = np.zeros([sizes[dim] for dim in (*COUNTERS, "kx")], np.bool_)
        sampled[..., -lines.samples :][lines.kspace_index()] = lines.measured
        repeats = len(lines.rows) - len(np.unique(np.stack(lines.kspace_index()), axis=1).T)
        return KSpace(kspace, sampled.swapaxes(-1, -2), self.header, repeats)

    def calibration(self, number: int) -> Calibration | None:
        """Return the separate calibration of the coils of a slice; None if there is none that fits the image.

        Raises:
            ISMRMRDError: if samples cannot be read, are too few or too many, or hold NaN or infinity.
        """
        lines = None if self._calibration is None else self._calibration.select({"slice": number})
        if lines is None or not len(lines.rows):
            return None
        with self._opened() as content:
            samples = np.full(len(lines.rows), lines.samples)
            readouts = read_samples(content["data"], lines.rows, lines.channels, samples)
            return assemble_calibration(readouts, lines, self.sizes)


def read_ismrmrd(path: Path, group: str = "dataset") -> KSpace:
    """Assemble all readouts of a Cartesian scan at once; arguments and errors are those of :class:`RawFile`."""
    return RawFile(path, group).kspace()


def _assembled(table: h5py.Dataset, lines: Lines, sizes: Mapping[str, int]) -> npt.NDArray[np.complex64]:
    order = (*COUNTERS, "coil", "kx")  # contiguous readouts are filled ten times faster
    kspace = np.zeros([sizes[dim] for dim in order], np.complex64)
    readouts = kspace[..., -lines.samples :]
    end = 0
    for block in read_samples(table, lines.rows, lines.channels, np.full(len(lines.rows), lines.samples)):
        start, end = end, end + len(block)
        readouts[lines.kspace_index(start, end)] = np.stack(block) * lines.measured[start:end, None]
    return kspace.transpose([order.index(dim) for dim in DIMS])
