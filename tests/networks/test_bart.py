"""Reconstruction by the program BART: by itself where it is installed, and by a script that takes its place."""

import shutil
import sys

import numpy as np
import pytest
import torch
from test_networks import acquisition

from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.networks import BART
from lowrank_unroll.networks.bart import _modulates_twice
from lowrank_unroll.networks.cfl_files import read_cfl, write_cfl
from lowrank_unroll.operators import Fourier, SampledFourier, coil_operator, conjugate_gradients

installed = pytest.mark.skipif(shutil.which("bart") is None, reason="the program bart is not installed")

# Reads and writes the files, and shifts and transforms, for itself; sums the coils, and tells what it was given.
PROGRAM = """#!{python}
import os, sys
import numpy as np

def read(name):
    sizes = [int(size) for size in open(name + ".hdr").read().split()[2:]]
    return np.fromfile(name + ".cfl", "<c8").reshape(sizes[::-1]).T

kspace, maps, mask = (read(name) for name in ("kspace", "maps", "mask"))
axes = (0, 1)
coils = np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(kspace * mask, axes), axes=axes, norm="ortho"), axes)
series = (maps.conj() * coils).sum(3, keepdims=True)
open("series.hdr", "w").write("# Dimensions\\n" + " ".join(map(str, series.shape)) + "\\n# Command\\npics\\n")
np.ascontiguousarray(series.T).astype("<c8").tofile("series.cfl")
with open({log!r}, "a") as log:
    print(os.environ["OMP_NUM_THREADS"], *sys.argv[1:], file=log)
"""


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Put a program called bart on the PATH, alone."""

    def written(text):
        file = tmp_path / "bart"
        file.write_text(text)
        file.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin" if text.startswith("#!/bin/sh") else str(tmp_path))
        _modulates_twice.cache_clear()
        return file

    yield written
    _modulates_twice.cache_clear()


@pytest.mark.parametrize("coils", [1, 3])
def test_the_program_is_given_what_was_measured_and_its_image_taken(coils, program, tmp_path):
    log = tmp_path / "log"
    program(PROGRAM.format(python=sys.executable, log=str(log)))
    measurement, operator = acquisition(coils=coils, height=6, width=5)
    series = BART("-m -i 7 -R T:1024:0:.003")(measurement, operator)
    assert torch.allclose(series, operator.adjoint(measurement), atol=1e-6)
    _, *calls = log.read_text().splitlines()
    words = "pics -m -i 7 -R T:1024:0:.003 -S -p mask kspace maps series"
    assert calls == [f"{torch.get_num_threads()} {words}"] * len(measurement)


def test_where_it_is_not_installed_it_is_said_how_to(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"bart is not on the PATH: install it, such as by `apt-get install bart`"):
        BART()(*acquisition())


@pytest.mark.parametrize("ending", ["exit 7", "exit 0"])
def test_what_it_says_of_a_failure_is_told(ending, program):
    program(f"#!/bin/sh\nprintf '\\033[31mno such term\\033[0m\\n' >&2; {ending}\n")
    with pytest.raises(UsageError, match=rf"`bart pics .*` failed \({ending[-1]}\): no such term$"):
        BART()(*acquisition())


@pytest.mark.parametrize("options", ["-p mask", "-R TF:{graph}:1", "--psf_export out", "-m kspace", "-B/etc/basis"])
def test_options_name_no_files(options):
    # A file of weights describes its network, and is to read and write nothing.
    with pytest.raises(ValueError, match="is no option of `bart pics` or names a file"):
        BART(options)


def test_other_operators_are_refused():
    measurement, _ = acquisition()
    with pytest.raises(UsageError, match="was given the operator Fourier, expected k-space on a grid"):
        BART()(measurement, Fourier())


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 1, 4)])
def test_files_hold_arrays(shape, tmp_path):
    array = (np.random.default_rng(0).standard_normal((*shape, 2)) @ [1, 1j]).astype(np.complex64)
    write_cfl(tmp_path / "a.b", array)
    assert np.array_equal(read_cfl(tmp_path / "a.b").reshape(shape), array)


@pytest.mark.parametrize("header", ["", "# Dimensions\n", "# Dimensions\n3 5\n", "# Dimensions\nmany\n"])
def test_files_that_do_not_fit_are_named(header, tmp_path):
    write_cfl(tmp_path / "one", np.ones((2, 3)))
    (tmp_path / "one.hdr").write_text(header)
    with pytest.raises(DataError, match=r"one\.hdr: expected the sizes of 6 values under '# Dimensions'"):
        read_cfl(tmp_path / "one")


@installed
@pytest.mark.parametrize("coils", [1, 3])
@pytest.mark.parametrize("size", [(12, 8), (10, 12), (12, 9), (7, 6)])
def test_it_solves_the_least_squares_problem_that_we_state(size, coils):
    # Sides that are multiples of four, even or odd are centred by different phases in some versions of the program.
    height, width = size
    measurement, operator = acquisition(coils=coils, height=height, width=width)
    series = BART("-l2 -r 0.3 -i 200")(measurement, operator)
    expected = conjugate_gradients(lambda x: operator.gram(x) + 0.3 * x, operator.adjoint(measurement))
    assert (series - expected).norm() <= 1e-3 * expected.norm()


@installed
def test_regularised_series_are_in_the_unit_of_the_measurement():
    # What is static is neither total variation in time nor of a rank above one.
    mask = (torch.arange(16) % 4 == torch.arange(8)[:, None] % 4)[None, None, :, None].expand(1, 1, 8, 16, 16)
    operator = SampledFourier(mask) @ coil_operator(None)
    series = torch.randn(1, 1, 16, 16, dtype=torch.complex64).expand(1, 8, 16, 16)
    for unit in (1e-5, 1, 1e5):
        found = BART("-m -i 100 -R T:1024:0:.003")(operator(unit * series), operator)
        assert (found - unit * series).norm() <= 0.05 * unit * series.norm()
    assert not BART()(operator(0 * series), operator).any()


@installed
def test_terms_that_the_program_does_not_know_are_told():
    with pytest.raises(UsageError, match=r"failed \(.*Unrecognized regularization type"):
        BART("-m -R Z:3:3:1")(*acquisition())
