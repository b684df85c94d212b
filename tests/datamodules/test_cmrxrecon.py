"""Tests of CMRxRecon, from files as the challenges publish them to samples."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from datamodules import CMRxRecon
from datamodules.dynamic_mri.phantom import beating_heart
from datamodules.dynamic_mri.simulation import coil_sensitivities
from datamodules.measured.coil_treatment import Coils
from lowrank_unroll.errors import DataError
from lowrank_unroll.modules import DynamicMRI
from lowrank_unroll.networks import NuclearNormRecon
from lowrank_unroll.operators import CoilSensitivity, Fourier
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import PseudoRadial

pytest.importorskip("sigpy")

SLICES, COILS, TIME, HEIGHT, WIDTH = 2, 3, 4, 32, 26
MATLAB_COMPLEX = np.dtype([("real", "<f4"), ("imag", "<f4")])


def measured(seed):
    """Return k-space (slice, coil, time, kx, ky) of the series (slice, time, height, width)."""
    generator = torch.Generator().manual_seed(seed)
    series = torch.stack([beating_heart((TIME, HEIGHT, WIDTH), generator) for _ in range(SLICES)])
    maps = coil_sensitivities(COILS, HEIGHT, WIDTH, generator)
    return Fourier()(CoilSensitivity(maps[None].expand(SLICES, -1, -1, -1, -1))(series)).numpy(), series


def write(path, kspace, name="kspace_full"):
    """Write k-space (kx, ky, coil, slice, time) as MATLAB does, with reversed dims."""
    stored = np.empty((TIME, SLICES, COILS, WIDTH, HEIGHT), MATLAB_COMPLEX)
    stored["real"], stored["imag"] = (np.einsum("sctxy->tscyx", part) for part in (kspace.real, kspace.imag))
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w", userblock_size=512) as content:
        content[name] = stored
    return path


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        for view in ("lax", "sax"):
            write(tmp_path / f"TrainingSet/FullSample/P00{number}/cine_{view}.mat", measured(number)[0])
    write(tmp_path / "TrainingSet/AccFactor04/P001/cine_lax.mat", measured(1)[0])
    return tmp_path


@pytest.mark.parametrize("name", ["kspace_full", "kspace"])
def test_kspace_survives_the_way_through_the_file(tmp_path, name):
    kspace, _ = measured(0)
    samples = list(CMRxRecon.read(write(tmp_path / "cine_sax.mat", kspace, name), Coils()))
    assert [sample.name for sample in samples] == ["cine_sax/slice0", "cine_sax/slice1"]
    for sample, expected in zip(samples, kspace, strict=True):
        assert sample.measurement.dtype == torch.complex64
        assert sample.mask.all()
        torch.testing.assert_close(sample.measurement * sample.scale, torch.from_numpy(expected))


def test_coils_are_treated_as_those_of_other_raw_data(tmp_path):
    kspace, _ = measured(0)
    path = write(tmp_path / "cine_sax.mat", kspace)
    np.save(tmp_path / "psi.npy", np.diag([1.0, 9, 1]))
    compressed, white = (
        next(CMRxRecon.read(path, coils)) for coils in (Coils(virtual=2), Coils(noise_covariance=tmp_path / "psi.npy"))
    )
    assert compressed.measurement.shape == (2, TIME, HEIGHT, WIDTH)
    expected = torch.from_numpy(kspace[0]) * (11 / 3) ** 0.5 / torch.tensor([1.0, 3, 1])[:, None, None, None]
    torch.testing.assert_close(white.measurement * white.scale, expected)


def test_masks_and_series_of_a_single_coil_are_passed_over(root):
    names = CMRxRecon(root).files.raw_files()
    write(root / "SingleCoil/Cine/TrainingSet/FullSample/P000/cine_sax.mat", measured(0)[0], "kspace_single_full")
    (root / "TrainingSet/FullSample/P000/cine_sax_mask.mat").touch()
    assert CMRxRecon(root).files.raw_files() == names


@pytest.mark.slow
@pytest.mark.usefixtures("forked_preparation")
def test_samples(root):
    data = CMRxRecon(root, processes=1, pattern=PseudoRadial(lines=5), frames=2)
    data.prepare_data()
    cines = {split: data.cines(split) for split in ("train", "val", "test")}
    names = [cine.name for split in cines.values() for cine in split]
    assert len(names) == len(set(names)) == 3 * 2 * SLICES
    assert "TrainingSet/FullSample/P001/cine_lax/slice0" in names
    for split in cines.values():  # no subject is in two splits
        for cine in split:
            subject = Path(cine.name).parts[2]
            assert sum(subject in name for name in names) == sum(subject in other.name for other in split)
    (cine, *_) = (cine for split in cines.values() for cine in split if "P000/cine_sax/slice1" in cine.name)
    magnitude, expected = np.abs(cine.frames[:]), measured(0)[1][1].abs().numpy()
    bright = expected > 0.1 * expected.max()
    assert np.linalg.norm((magnitude - expected)[bright]) < 0.05 * np.linalg.norm(expected[bright])

    data.setup("test")
    batch = Sample.stack([data.dataset(next(split for split, found in cines.items() if found))[0]])
    assert batch.measurement.shape[1] == COILS
    operator = DynamicMRI(NuclearNormRecon()).operator(batch)
    assert torch.allclose(operator(batch.target), batch.measurement, atol=1e-5)


@pytest.mark.parametrize(
    ("write_file", "message"),
    [
        (lambda path: path.write_bytes(b"MATLAB 5.0"), r"cine_sax\.mat: expected an HDF5 file"),
        (lambda path: write(path, measured(0)[0], "image"), r"named kspace_full or kspace: it holds only image"),
        (lambda path: write(path, measured(0)[0] * np.nan), "slice 0 holds NaN or infinity"),
        (lambda path: h5py.File(path, "w").create_dataset("kspace", data=np.zeros((2, 2, 2, 2, 2))), "cine_sax"),
        (lambda path: h5py.File(path, "w").create_dataset("kspace", data=np.zeros((3, 4))), r"it has shape \(3, 4\)"),
        (
            lambda path: h5py.File(path, "w").create_dataset("kspace", data=np.zeros((0,) * 5)),
            r"shape \(0, 0, 0, 0, 0\)",
        ),
        (lambda path: h5py.File(path, "w").create_group("kspace"), "expected an HDF5 file with complex k-space"),
        (lambda path: path.mkdir(), "expected an HDF5 file with complex k-space"),
    ],
)
def test_other_files_are_refused(tmp_path, write_file, message):
    write_file(tmp_path / "cine_sax.mat")
    with pytest.raises(DataError, match=message):
        list(CMRxRecon.read(tmp_path / "cine_sax.mat", Coils()))


def test_an_empty_folder_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"cine_\*\.mat file in .* data of CMRxRecon .*--data\.root"):
        CMRxRecon(tmp_path).prepare_data()
