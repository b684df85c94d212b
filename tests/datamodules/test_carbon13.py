"""Tests of measured dynamic k-space in MATLAB files, and of Carbon13, which trains and tests on it."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import SHORT
from scipy.io import savemat

from datamodules import Carbon13
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.kspace_files import read_kspace
from datamodules.measured.matlab_series import MatlabSeries
from lowrank_unroll.errors import DataError, UsageError
from lowrank_unroll.operators import Fourier
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import GoldenAngleRadial, VariableDensity

READOUT, HEIGHT, WIDTH, TIME = 10, 8, 6, 5


def volume(seed=0):
    """Images (readout, height, width, time), and their k-space by NumPy."""
    generator = np.random.default_rng(seed)
    shape = (READOUT, HEIGHT, WIDTH, TIME)
    images = generator.normal(size=shape) + 1j * generator.normal(size=shape)
    spatial = (0, 1, 2)
    shifted = np.fft.fftn(np.fft.ifftshift(images, spatial), axes=spatial, norm="ortho")
    return images, np.fft.fftshift(shifted, spatial)


def undersampled(kspace, seed=0):
    """K-space with readouts left out, and the mask (height, width, time)."""
    mask = np.random.default_rng(seed).random(kspace.shape[1:]) < 0.5
    return kspace * mask, mask


def write(path, **arrays):
    savemat(path, arrays, do_compression=True)
    return path


def write_v73(path, kspace):
    """Write k-space as MATLAB 7.3 does: dims reversed, complex numbers as pairs."""
    pairs = np.empty(kspace.T.shape, [("real", "f8"), ("imag", "f8")])
    pairs["real"], pairs["imag"] = kspace.T.real, kspace.T.imag
    with h5py.File(path, "w", userblock_size=512) as file:
        file["kspace_pf"] = pairs
        file["kspace_pf"].attrs["MATLAB_class"] = np.bytes_("double")
        file["#refs#/a"] = np.zeros(3)
    return path


class TestMatlabSeries:
    @pytest.mark.parametrize("writer", [lambda path, kspace: write(path, data=kspace), write_v73])
    def test_each_pixel_of_the_readout_is_a_series(self, writer, tmp_path):
        images, kspace = volume()
        kspace, mask = undersampled(1e8 * kspace)
        series = MatlabSeries(writer(tmp_path / "rat.mat", kspace))
        assert len(series) == READOUT
        for pixel in range(READOUT):
            sample = series[pixel]
            assert sample.name == f"rat/readout{pixel}"
            assert (sample.target, sample.coil_sensitivities, sample.origin) == (None, None, "measured")
            assert np.array_equal(sample.mask[0], mask.transpose(2, 0, 1))
            expected = torch.from_numpy(1e8 * images[pixel].transpose(2, 0, 1)).to(torch.complex64)
            expected = Fourier()(expected) * sample.mask
            torch.testing.assert_close(sample.measurement * sample.scale, expected, rtol=1e-4, atol=1e2)
            assert np.isclose(Fourier().adjoint(sample.measurement).abs().max(), 1)

    def test_a_slice_is_one_series_whose_height_is_the_readout(self, tmp_path):
        kspace = volume()[1][:, :, 0]
        (sample,) = [MatlabSeries(write(tmp_path / "rat.mat", data=kspace))[0]]
        found = (sample.measurement * sample.scale)[0].numpy()
        assert np.allclose(found, kspace.transpose(2, 0, 1), atol=1e-5)
        assert sample.mask.shape == (1, TIME, READOUT, HEIGHT)
        assert sample.mask.all()
        assert sample.name == "rat"

    def test_single_zeros_of_a_readout_are_measured(self, tmp_path):
        kspace = volume()[1]
        kspace[3, 2, 1, 0] = 0
        assert MatlabSeries(write(tmp_path / "rat.mat", data=kspace)).sampled.all()

    def test_one_named_kspace_of_several(self, tmp_path):
        kspace = volume()[1]
        arrays = {"kspace": kspace, "maps": kspace[:3], "times": np.arange(5.0), "angles": np.ones((2, 3, 4))}
        assert len(MatlabSeries(write(tmp_path / "rat.mat", **arrays))) == READOUT
        del arrays["kspace"]
        assert len(MatlabSeries(write(tmp_path / "rat.mat", **arrays))) == 3

    def test_whatever_is_wrong_is_one_line_that_names_the_file(self, tmp_path):
        kspace = volume()[1]
        infinite, beyond = kspace.copy(), 1e200 * kspace
        infinite[0, 0, 0, 0] = np.nan
        cases = [
            (
                {"kspace": kspace.real},
                r"expected one complex array of k-space .*, found kspace \(10, 8, 6, 5\) float64",
            ),
            ({"kspace": kspace[0, 0]}, "expected one complex array .*, found no array of numbers"),
            ({"kspace": kspace[None]}, "expected one complex array .*, found no array of numbers"),
            ({"kspace": "words"}, "expected one complex array .*, found no array of numbers"),
            ({"a": kspace, "b": kspace}, r"or one named kspace, found a \(10.*, b \(10"),
            ({"kspace": infinite}, "the largest sample of k-space is nan, expected finite numbers"),
            ({"kspace": beyond}, "the largest sample of k-space is inf, expected finite numbers"),
            ({"kspace": 0 * kspace}, "the largest sample of k-space is 0e"),
        ]
        for arrays, message in cases:
            with pytest.raises(DataError, match=rf"rat\.mat: .*{message}") as caught:
                MatlabSeries(write(tmp_path / "rat.mat", **arrays))
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("writer", [lambda path, kspace: write(path, data=kspace), write_v73])
    def test_truncated_files(self, writer, tmp_path):
        content = writer(tmp_path / "rat.mat", volume()[1]).read_bytes()
        for length in (0, 60, 128, 700, len(content) // 2, len(content) - 9):
            (tmp_path / "rat.mat").write_bytes(content[:length])
            with pytest.raises(DataError, match=r"rat\.mat: ") as caught:
                MatlabSeries(tmp_path / "rat.mat")
            assert "\n" not in str(caught.value)

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*none"):
            MatlabSeries(tmp_path / "none.mat")

    def test_predicted_beside_other_files(self, tmp_path):
        kspace = volume()[1]
        write(tmp_path / "a.mat", kspace=kspace)
        np.savez(tmp_path / "b.npz", kspace=kspace.transpose(0, 3, 1, 2)[:1])
        names = [sample.name for sample in read_kspace(tmp_path, Coils())]
        assert names == ["b", *(f"a/readout{pixel}" for pixel in range(READOUT))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of a fully sampled volume and slice, and of an undersampled volume."""
    root = tmp_path_factory.mktemp("carbon13")
    kspace = volume()[1]
    write(root / "full.mat", data=kspace)
    write(root / "slice.mat", data=kspace[:, :, 0])
    write(root / "under.mat", kspace=undersampled(kspace)[0])
    return root


def names_of(dataset):
    return [dataset[draw].name for draw in range(len(dataset))]


class TestCarbon13:
    def test_splits_of_fully_sampled_series(self, folder, caplog):
        caplog.set_level("INFO", logger="datamodules")
        data = Carbon13(folder, pattern=VariableDensity(0.5), least_energy=0)
        found = {split: names_of(data.dataset(split)) for split in ("train", "val", "test")}
        assert found == {
            "train": [f"full/readout{pixel}" for pixel in (1, 5, 9)],
            "val": [f"full/readout{pixel}" for pixel in (3, 7)],
            "test": [*(f"full/readout{pixel}" for pixel in (0, 2, 4, 6, 8)), "slice"],
        }
        assert "under.mat was measured undersampled, and is left out" in caplog.text

    def test_undersampled_series_have_the_measured_image_as_reference(self, folder):
        sample = Carbon13(folder, "full.mat", VariableDensity(0.5), least_energy=0).dataset("test")[1]
        image = torch.from_numpy(volume()[0][2].transpose(2, 0, 1)).to(torch.complex64)
        torch.testing.assert_close(sample.target * sample.scale, image, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            (sample.measurement * sample.scale)[0], Fourier()(image) * sample.mask[0], rtol=1e-4, atol=1e-4
        )
        assert 0.4 < sample.mask.float().mean() < 0.6

    def test_weak_series_are_left_out(self, tmp_path):
        images, _ = volume()
        images[[0, 4, 9]] *= 0.1
        kspace = np.fft.fftshift(np.fft.fftn(np.fft.ifftshift(images, (0, 1, 2)), axes=(0, 1, 2)), (0, 1, 2))
        write(tmp_path / "rat.mat", kspace=kspace)
        data = Carbon13(tmp_path, pattern=VariableDensity(0.5), least_energy=0.3)
        assert names_of(data.dataset("test")) == [f"rat/readout{pixel}" for pixel in (1, 3, 6, 8)]
        assert names_of(data.dataset("train")) == [f"rat/readout{pixel}" for pixel in (2, 7)]

    def test_series_as_they_were_measured_train_without_ground_truth(self, folder):
        data = Carbon13(folder, "under.mat", least_energy=0, frames=3, crops_per_cine=2)
        batch = Sample.stack([data.dataset("train")[draw] for draw in range(6)])
        assert batch.measurement.shape == (6, 1, 3, HEIGHT, WIDTH)
        assert batch.target is None
        assert torch.equal(batch.mask, batch.measurement != 0)
        with pytest.raises(UsageError, match=r"no ground truth to test by: give --data\.pattern"):
            data.dataset("test")

    def test_nothing_to_train_or_test_on(self, folder, tmp_path):
        pattern = VariableDensity(0.5)
        with pytest.raises(FileNotFoundError, match=r"no \*\.mat file in .*: put the files of the hyperpolarized-mri"):
            Carbon13(tmp_path, pattern=pattern).dataset("test")
        for files in ("under.mat", "slice.mat"):
            with pytest.raises(
                UsageError, match=r"is for 'train': with --data\.pattern these are those of fully sampled"
            ):
                Carbon13(folder, files, pattern).dataset("train")
        with pytest.raises(UsageError, match="GoldenAngleRadial draws a trajectory"):
            Carbon13(folder, pattern=GoldenAngleRadial(4), least_energy=0).dataset("test")[0]

    @pytest.mark.slow
    def test_config_tests_and_predicts(self, folder, command_line):
        words = ["--config", "dynamic_mri/carbon13.yaml", *SHORT]
        command_line("test", *words, "--data.root", folder)
        (report,) = Path("runs").rglob("test/metrics.csv")
        assert "full/readout0,measured," in report.read_text()
        command_line("predict", *words, "--data.predict_kspace", folder / "under.mat")
        for pixel in range(READOUT):
            assert list(Path("runs").rglob(f"predictions/under/readout{pixel}.gif"))
