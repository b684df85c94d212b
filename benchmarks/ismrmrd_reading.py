"""Time and peak memory of reading an ISMRMRD file: the reader of this project, and a loop over the `ismrmrd` package.

    pip install "lowrank-unroll[test]"
    python benchmarks/ismrmrd_reading.py [--slices 4] [--repeats 3]

The file has 256 samples, 8 coils, 200 lines, 25 phases and four slices: 20,000 readouts, a third of a gigabyte. Both
readers take it from the page cache, in turn, and the shortest time of each counts. The peak of memory is that of a
fresh process, beyond what it held before it read, relative to the assembled array.
"""

# ruff: noqa: T201

import argparse
import multiprocessing
import re
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import ismrmrd
import ismrmrd.hdf5
import numpy as np
import numpy.typing as npt

from datamodules.measured.ismrmrd.raw_file import read_ismrmrd

SAMPLES, COILS, LINES, PHASES = 256, 8, 200, 25
SPACE = f"""
    <matrixSize><x>{SAMPLES}</x><y>{LINES}</y><z>1</z></matrixSize>
    <fieldOfView_mm><x>360</x><y>280</y><z>8</z></fieldOfView_mm>"""
HEADER = f"""<ismrmrdHeader xmlns="http://www.ismrm.org/ISMRMRD"><encoding>
    <encodedSpace>{SPACE}</encodedSpace><reconSpace>{SPACE}</reconSpace>
    <encodingLimits/><trajectory>cartesian</trajectory></encoding></ismrmrdHeader>"""


def write(path: Path, slices: int) -> None:
    """Write noise line after line, in chunks of one readout as the C++ library of the format does."""
    random = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.create_dataset("dataset/xml", data=[HEADER], dtype=h5py.string_dtype())
        table = file.create_dataset(
            "dataset/data", (slices * PHASES * LINES,), ismrmrd.hdf5.acquisition_dtype, chunks=(1,), maxshape=(None,)
        )
        for start in range(0, len(table), LINES):
            rows = np.zeros(LINES, table.dtype)
            head = rows["head"]
            head["number_of_samples"], head["active_channels"], head["center_sample"] = SAMPLES, COILS, SAMPLES // 2
            head["idx"]["slice"], head["idx"]["phase"] = divmod(start // LINES, PHASES)
            head["idx"]["kspace_encode_step_1"] = np.arange(LINES)
            rows["data"][:] = list(random.standard_normal((LINES, 2 * COILS * SAMPLES), dtype=np.float32))
            rows["traj"][:] = [np.zeros(0, np.float32)] * LINES
            table[start : start + LINES] = rows


def loop(path: Path) -> npt.NDArray[np.complex64]:
    """Assemble (slice, coil, phase, kx, ky) readout by readout."""
    with ismrmrd.Dataset(path, mode="r") as dataset:
        number = dataset.number_of_acquisitions()
        kspace = np.zeros((number // (PHASES * LINES), COILS, PHASES, SAMPLES, LINES), np.complex64)
        for index in range(number):
            readout = dataset.read_acquisition(index)
            counters = readout.idx
            kspace[counters.slice, :, counters.phase, :, counters.kspace_encode_step_1] = readout.data
    return kspace


def vectorised(path: Path) -> npt.NDArray[np.complex64]:
    """Assemble (slice, coil, phase, kx, ky) with the reader of this project."""
    return read_ismrmrd(path).kspace[0, 0, 0, 0, :, 0]


def seconds(reader: Callable[[Path], Any], path: Path) -> float:
    """Wall time of one reading."""
    start = time.perf_counter()
    reader(path)
    return time.perf_counter() - start


def relative_peak(path: Path) -> float:
    """Peak of resident memory while reading, beyond what this process held before, relative to the array."""
    before = peak_bytes()
    kspace = vectorised(path)
    return (peak_bytes() - before) / kspace.nbytes


def peak_bytes() -> int:
    """Largest resident memory of this process so far (Linux)."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    if not found:
        raise OSError("this system does not tell the peak of memory")
    return int(found[1]) * 1024


def main() -> None:
    """Write the file, read it in turn with both readers, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scan.h5"
        write(path, arguments.slices)
        size = path.stat().st_size
        print(f"{arguments.slices * PHASES * LINES} readouts, {size / 1e6:.0f} MB")
        np.testing.assert_array_equal(vectorised(path), loop(path))
        times = [(seconds(vectorised, path), seconds(loop, path)) for _ in range(arguments.repeats)]
        fast, slow = np.min(times, axis=0)
        print(f"this reader {fast:.2f} s ({size / fast / 1e6:.0f} MB/s), loop {slow:.2f} s: {slow / fast:.1f} times")
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
            print(f"peak of memory: {process.submit(relative_peak, path).result():.2f} times the array")


if __name__ == "__main__":
    main()
