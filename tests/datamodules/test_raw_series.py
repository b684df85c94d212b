"""Tests of series of raw files of all kinds, written by the `ismrmrd` package."""

import collections
import faulthandler
import math
import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.dynamic_mri.phantom import beating_heart
from datamodules.dynamic_mri.simulation import coil_sensitivities
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.coils import calibration_width, mix_coils, noise_covariance, time_average, whitening_matrix
from datamodules.measured.ismrmrd import sandbox
from datamodules.measured.ismrmrd.raw_file import ISMRMRDError, is_ismrmrd, read_ismrmrd
from datamodules.measured.kspace_files import read_kspace
from datamodules.measured.raw_series import RawSeries
from datamodules.measured.readout import crop_readout, crop_readout_kspace
from lowrank_unroll.errors import DataError
from lowrank_unroll.modules import DynamicMRI
from lowrank_unroll.networks import LocallyLowRankRecon
from lowrank_unroll.operators import Fourier
from lowrank_unroll.sample import Sample

ismrmrd = pytest.importorskip("ismrmrd")
xsd = pytest.importorskip("ismrmrd.xsd")
pytest.importorskip("sigpy")

from test_ismrmrd import header_of, mutated, readouts_of, worker, write  # noqa: E402  it needs ismrmrd

COILS, TIME, HEIGHT, WIDTH = 4, 5, 24, 32
# Tells that the first file holds no raw data, and ends in the second.
CRASH = (
    "import os, sys; from multiprocessing.connection import Connection; "
    "Connection(int(sys.argv[1]), readable=False).send(False); os.abort()"
)
KEEP_ALL = Coils(virtual=None, prewhiten=False)


def measured(seed=0, oversampling=2, **sizes):
    """Return k-space of `DIMS` of a heart that fills a part of the oversampled readout, and its coil images."""
    generator = torch.Generator().manual_seed(seed)
    series = beating_heart((TIME, HEIGHT, WIDTH), generator)
    coil_images = coil_sensitivities(COILS, HEIGHT, WIDTH, generator) * series
    margin = (oversampling - 1) * HEIGHT // 2
    wide = Fourier()(torch.nn.functional.pad(coil_images, (0, 0, margin, margin)))
    slices, averages = sizes.get("slices", 1), sizes.get("averages", 1)
    kspace = torch.zeros(averages, 1, 1, 1, slices, 1, *wide.shape, dtype=torch.complex64)
    for number in range(slices):
        kspace[:, :, :, :, number] = (number + 1) * wide
    return kspace.numpy(), coil_images


def lines(kspace, acceleration=4, centre=10):
    """Return readouts of some lines, which differ between frames, and of the central ones in all."""
    ky = kspace.shape[-1]
    kept = [
        readout
        for readout in readouts_of(kspace)
        if (readout.idx.kspace_encode_step_1 + readout.idx.phase) % acceleration == 0
        or abs(readout.idx.kspace_encode_step_1 - ky // 2) <= centre // 2
    ]
    for number, readout in enumerate(kept):
        readout.scan_counter = number
    return kept


def mask_of(readouts, time, ky):
    mask = torch.zeros(time, ky, dtype=torch.bool)
    for readout in readouts:
        mask[readout.idx.phase, readout.idx.kspace_encode_step_1] = True
    return mask


class TestPrewhitening:
    def noise(self, coils=5, samples=20000):
        mixing = torch.randn(coils, coils, dtype=torch.complex128) + 2 * torch.eye(coils)
        return mixing @ torch.randn(coils, samples, dtype=torch.complex128)

    def test_noise_is_white_afterwards(self):
        torch.manual_seed(0)
        noise = self.noise()
        matrix = whitening_matrix(noise_covariance(noise))
        torch.testing.assert_close(noise_covariance(mix_coils(matrix, noise)), torch.eye(5, dtype=torch.complex128))
        fresh = noise_covariance(mix_coils(matrix, noise[:, torch.randperm(20000)[:10000]]))
        assert (fresh - torch.eye(5)).abs().max() < 0.1

    def test_least_squares_of_white_coils_have_the_least_noise(self):
        """Theory: the best combination of coils with sensitivities s has the variance 1 / (s^H Psi^-1 s)."""
        torch.manual_seed(1)
        noise, seen = self.noise(), torch.randn(5, dtype=torch.complex128)
        covariance = noise_covariance(noise)
        matrix = whitening_matrix(covariance)

        def combined(weights, samples):
            return (weights.conj() @ samples) / weights.norm() ** 2

        naive = combined(seen, noise).abs().square().mean()
        white = combined(matrix @ seen, matrix @ noise).abs().square().mean()
        best = 1 / (seen.conj() @ torch.linalg.solve(covariance, seen)).real
        torch.testing.assert_close(white, best)
        assert white < naive

    def test_too_little_noise_and_none_are_refused(self):
        with pytest.raises(ValueError, match="12 samples of noise are too few for the covariance of 4 coils"):
            noise_covariance(torch.randn(4, 12, dtype=torch.complex64))
        with pytest.raises(ValueError, match="not positive definite"):
            whitening_matrix(torch.zeros(3, 3))


class TestReadout:
    @given(st.integers(2, 24), st.integers(1, 24), st.integers(0, 2**32))
    def test_of_whole_lines_it_is_exact(self, whole, readout, seed):
        generator = torch.Generator().manual_seed(seed)
        kspace = torch.randn(2, 3, whole, 4, dtype=torch.complex64, generator=generator)
        narrow, sampled = crop_readout_kspace(kspace, torch.ones(3, whole, 4, dtype=torch.bool), readout)
        expected = Fourier()(crop_readout(Fourier().adjoint(kspace), readout))
        torch.testing.assert_close(narrow, expected if readout < whole else kspace)
        assert sampled.all()
        assert sampled.shape == (3, min(readout, whole), 4)

    @pytest.mark.parametrize("missing", [1, 6, 11])
    def test_an_asymmetric_echo_stays_one(self, missing):
        sampled = torch.ones(1, 32, 4, dtype=torch.bool)
        sampled[:, :missing] = False
        narrow, left = crop_readout_kspace(torch.randn(2, 1, 32, 4, dtype=torch.complex64) * sampled, sampled, 16)
        assert (left[0, :, 0] == (torch.arange(16) >= math.ceil(missing / 2))).all()
        assert not narrow[..., ~left[0, :, 0], :].any()


def test_the_average_over_time_fills_what_any_frame_has():
    sampled = torch.rand(5, 8, 6) < 0.4
    kspace = torch.randn(2, 1, 8, 6, dtype=torch.complex64) * sampled
    expected = (kspace.sum(1) / sampled.sum(0).clamp(min=1)) * sampled.any(0)
    torch.testing.assert_close(time_average(kspace, sampled), expected)


def test_calibration_ends_at_the_first_gap():
    sampled = torch.ones(30, 20, dtype=torch.bool)
    assert calibration_width(sampled) == 20
    sampled[:, 15] = False  # five columns right of the centre, which is the tenth
    assert calibration_width(sampled) == 10
    sampled[15, 10] = False
    assert calibration_width(sampled) == 0


class TestSeries:
    def test_undersampled_lines_are_as_if_measured_directly(self, tmp_path):
        kspace, coil_images = measured()
        readouts = lines(kspace)
        path = write(tmp_path / "us_1.h5", header_of(kspace), readouts)
        (sample,) = RawSeries(path, KEEP_ALL)
        mask = mask_of(readouts, TIME, WIDTH)[:, None].expand(TIME, HEIGHT, WIDTH)
        direct = Fourier()(coil_images) * mask
        assert torch.equal(sample.mask[0], mask)
        assert (sample.measurement * sample.scale - direct).norm() <= 1e-5 * direct.norm()
        assert (sample.name, sample.origin) == ("us_1/slice0_average0", "measured")
        assert sample.target is None
        strength = sample.coil_sensitivities.abs().square().sum(0)
        torch.testing.assert_close(strength, torch.ones_like(strength), atol=1e-4, rtol=0)
        np.savez(
            tmp_path / "direct.npz", kspace=direct.numpy(), mask=mask.numpy(),
            coil_sensitivities=sample.coil_sensitivities[:, 0].numpy(),
        )  # fmt: skip
        module = DynamicMRI(LocallyLowRankRecon(8, iterations=10))
        raw, same = (
            module.predict_step(Sample.stack([series]), 0)
            for series in (sample, read_kspace(tmp_path / "direct.npz", KEEP_ALL)[0])
        )
        assert (raw - same).norm() <= 1e-4 * same.norm()
        # The coils and the series are what they were simulated with, but for a phase.
        combined = coil_images.abs().square().sum(0).sqrt()
        bright = combined > 0.2
        assert (raw[0].abs() - combined)[bright].norm() < 0.25 * combined[bright].norm()

    @pytest.mark.slow
    def test_slices_and_averages_are_items(self, tmp_path):
        kspace, _ = measured(slices=3, averages=2)
        readouts = lines(kspace)
        np.random.default_rng(0).shuffle(readouts)
        series = RawSeries(write(tmp_path / "scan.h5", header_of(kspace), readouts), KEEP_ALL)
        names = [series[number].name for number in range(len(series))]
        assert names == [f"scan/slice{number}_average{average}" for number in range(3) for average in range(2)]
        scales = torch.stack([series[number].scale for number in range(len(series))])
        torch.testing.assert_close(scales / scales[0], torch.tensor([1.0, 1, 2, 2, 3, 3]))

    def test_repetitions_are_frames_where_there_is_one_phase(self, tmp_path):
        kspace, _ = measured()
        repetition = np.moveaxis(kspace, 7, 1)[:, :, 0][:, :, :, :, :, :, :, None]
        path = write(tmp_path / "real_time.h5", header_of(repetition), readouts_of(repetition))
        (sample,) = RawSeries(path, KEEP_ALL)
        other = RawSeries(write(tmp_path / "phases.h5", header_of(kspace), readouts_of(kspace)), KEEP_ALL)[0]
        assert torch.equal(sample.measurement, other.measurement)

    def test_partial_fourier_is_placed_by_the_centre(self, tmp_path):
        kspace, coil_images = measured()
        first = 10  # lines that are not measured
        header = header_of(kspace)
        header.encoding[0].encodedSpace.matrixSize.y = WIDTH
        limit = header.encoding[0].encodingLimits.kspace_encoding_step_1
        limit.maximum, limit.center = WIDTH - first - 1, WIDTH // 2 - first
        readouts = [readout for readout in readouts_of(kspace) if readout.idx.kspace_encode_step_1 >= first]
        for readout in readouts:
            readout.idx.kspace_encode_step_1 -= first
        path = write(tmp_path / "partial.h5", header, readouts)
        np.testing.assert_array_equal(read_ismrmrd(path).kspace[..., first:], kspace[..., first:])
        (sample,) = RawSeries(path, KEEP_ALL)
        direct = Fourier()(coil_images)
        direct[..., :first] = 0
        assert (sample.measurement * sample.scale - direct).norm() <= 1e-5 * direct.norm()
        assert (sample.mask[0].any(1) == (torch.arange(WIDTH) >= first)).all()

    @pytest.mark.parametrize("centre", [0, 16])
    def test_reduced_phase_resolution_and_an_unknown_centre_keep_the_lines(self, tmp_path, centre):
        kspace, _ = measured()
        header = header_of(kspace)
        header.encoding[0].encodedSpace.matrixSize.y = 48
        header.encoding[0].encodingLimits.kspace_encoding_step_1.center = centre
        (sample,) = RawSeries(write(tmp_path / "scan.h5", header, readouts_of(kspace)), KEEP_ALL)
        assert sample.measurement.shape[1:] == (TIME, HEIGHT, WIDTH)

    def test_noise_is_whitened_and_images_keep_their_unit(self, tmp_path):
        torch.manual_seed(0)
        kspace, _ = measured()
        mixing = torch.randn(COILS, COILS, dtype=torch.complex64) + 2 * torch.eye(COILS)
        noise = (mixing @ torch.randn(COILS, 4096, dtype=torch.complex64)).numpy()
        scans = []
        for part in np.split(noise, 8, axis=1):
            scan = ismrmrd.Acquisition.from_array(np.ascontiguousarray(part))
            scan.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
            scans.append(scan)
        path = write(tmp_path / "noise.h5", header_of(kspace), scans + lines(kspace))
        series = RawSeries(path, Coils(virtual=None))
        white = noise_covariance(mix_coils(series.treatment.whitening, torch.from_numpy(noise)))
        variance = noise_covariance(torch.from_numpy(noise)).diagonal().real.mean()
        torch.testing.assert_close(white / variance, torch.eye(COILS, dtype=torch.complex128), atol=1e-5, rtol=0)
        plain = RawSeries(path, KEEP_ALL)[0].measurement * RawSeries(path, KEEP_ALL)[0].scale
        sample = series[0]
        expected = mix_coils(series.treatment.whitening, plain)
        assert (sample.measurement * sample.scale - expected).norm() <= 1e-5 * expected.norm()
        np.save(tmp_path / "covariance.npy", noise_covariance(torch.from_numpy(noise)).numpy())
        given_one = RawSeries(path, Coils(virtual=None, noise_covariance=tmp_path / "covariance.npy"))
        torch.testing.assert_close(given_one.treatment.whitening, series.treatment.whitening)

    @pytest.mark.parametrize(("view", "shown"), [(270, 32), (269.99, 32), (180, 21), (300, 32), (0, 32)])
    def test_oversampling_of_the_phase_encoding_is_told(self, tmp_path, view, shown):
        kspace, _ = measured()
        header = header_of(kspace)
        header.encoding[0].reconSpace.fieldOfView_mm.y = view
        sample = RawSeries(write(tmp_path / "scan.h5", header, readouts_of(kspace)), KEEP_ALL)[0]
        assert sample.measurement.shape[-1] == WIDTH
        assert sample.geometry.width == shown
        np.testing.assert_allclose(sample.geometry.spacing[1], 270 / WIDTH)

    def test_coils_are_compressed(self, tmp_path):
        kspace, _ = measured()
        path = write(tmp_path / "scan.h5", header_of(kspace), lines(kspace))
        sample = RawSeries(path, Coils(virtual=2))[0]
        assert sample.measurement.shape == (2, TIME, HEIGHT, WIDTH)
        assert sample.coil_sensitivities.shape == (2, 1, HEIGHT, WIDTH)

    def test_separate_calibration_is_no_line_of_the_image(self, tmp_path):
        kspace, _ = measured()
        calibration = readouts_of(0 * kspace + 5)
        for readout in calibration:
            readout.setFlag(ismrmrd.ACQ_IS_PARALLEL_CALIBRATION)
        path = write(tmp_path / "scan.h5", header_of(kspace), readouts_of(kspace) + calibration)
        np.testing.assert_array_equal(read_ismrmrd(path).kspace, kspace)


class TestFrames:
    def stamped(self, kspace, frames):
        readouts = [readout for readout in lines(kspace) if readout.idx.phase in frames]
        for readout in readouts:
            readout.physiology_time_stamp = (16 * readout.idx.phase, 0, 0)
        return readouts

    @pytest.mark.parametrize("frames", [(0, 1, 2), (0, 2, 4), (3,)], ids=["aborted", "gaps", "one"])
    def test_those_never_measured_are_left_out_and_the_others_keep_their_times(self, tmp_path, caplog, frames):
        kspace = measured()[0][:, :, :, :, :, :, :1]
        whole = RawSeries(write(tmp_path / "whole.h5", header_of(kspace), self.stamped(kspace, range(TIME))), KEEP_ALL)
        assert not caplog.text
        path = write(tmp_path / "scan.h5", header_of(kspace), self.stamped(kspace, frames))
        (sample,) = RawSeries(path, KEEP_ALL)
        assert f"scan.h5: of 5 frames at least {5 - len(frames)} were never measured in 1 of 1 series" in caplog.text
        expected = whole[0].measurement[:, list(frames)] * whole[0].scale
        torch.testing.assert_close(sample.measurement * sample.scale, expected)
        # The stamps of one frame do not differ, and the header's repetition time tells.
        interval = 40.0 if len(frames) > 1 else 38.4
        np.testing.assert_allclose(sample.geometry.times, [interval * frame for frame in frames], rtol=1e-6)

    def test_limits_of_phases_make_no_series_of_repetitions(self, tmp_path):
        kspace = measured()[0][:, :, :, :, :, :, :1]
        readouts = lines(kspace)
        expected = RawSeries(write(tmp_path / "phases.h5", header_of(kspace), readouts), KEEP_ALL)[0]
        for readout in readouts:
            readout.idx.repetition, readout.idx.phase = readout.idx.phase, 2
        header = header_of(kspace)
        header.encoding[0].encodingLimits.repetition.maximum = TIME - 1
        (sample,) = RawSeries(write(tmp_path / "repetitions.h5", header, readouts), KEEP_ALL)
        assert torch.equal(sample.measurement, expected.measurement)


class TestRefusal:
    @pytest.mark.parametrize("unit", [0, 1e20])
    def test_samples_that_are_no_measurement(self, tmp_path, unit):
        kspace, _ = measured()
        path = write(tmp_path / "scan.h5", header_of(kspace), readouts_of(unit * kspace))
        with pytest.raises(DataError, match=r"scan\.h5: the largest sample of a series is"):
            RawSeries(path)[0]

    def test_a_dead_coil_is_told_and_the_advice_helps(self, tmp_path):
        kspace, _ = measured()
        kspace[:, :, :, :, :, :, 2] = 0
        noise = np.random.default_rng(0).standard_normal((COILS, 512)).astype(np.complex64)
        noise[2] = 0
        scan = ismrmrd.Acquisition.from_array(noise)
        scan.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        path = write(tmp_path / "scan.h5", header_of(kspace), [scan, *lines(kspace)])
        with pytest.raises(DataError, match=r"scan\.h5: .*without noise.* --data\.raw_coils\.prewhiten false"):
            RawSeries(path)
        assert RawSeries(path, Coils(prewhiten=False))[0].measurement.isfinite().all()

    def test_a_locked_file_is_told(self, tmp_path):
        fcntl = pytest.importorskip("fcntl")
        kspace, _ = measured()
        path = write(tmp_path / "scan.mrd", header_of(kspace), readouts_of(kspace)[:1])
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            with pytest.raises(ISMRMRDError, match=r"scan\.mrd: is locked by another program"):
                is_ismrmrd(path)

    @pytest.mark.usefixtures("sandbox_in_this_process")
    def test_a_file_without_raw_data(self, tmp_path):
        (tmp_path / "images.mrd").write_bytes(b"text")
        with pytest.raises(DataError, match=r"images\.mrd: holds no raw data"):
            read_kspace(tmp_path / "images.mrd", Coils())

    def test_volumes(self, tmp_path):
        kspace, _ = measured()
        volume = np.repeat(kspace, 2, axis=5)
        path = write(tmp_path / "volume.h5", header_of(volume), readouts_of(volume))
        with pytest.raises(DataError, match=r"volume\.h5: is of a volume of 2 partitions"):
            RawSeries(path)

    def test_a_centre_with_gaps(self, tmp_path):
        kspace, _ = measured()
        readouts = [readout for readout in readouts_of(kspace) if readout.idx.kspace_encode_step_1 % 3 == 0]
        with pytest.raises(DataError, match=r"scan\.h5: only 0 x 0 of the centre"):
            RawSeries(write(tmp_path / "scan.h5", header_of(kspace), readouts), KEEP_ALL)[0]

    def test_noise_of_other_coils_and_a_wrong_covariance(self, tmp_path):
        kspace, _ = measured()
        noise = ismrmrd.Acquisition.from_array(np.ones((2, 64), np.complex64))
        noise.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        path = write(tmp_path / "scan.h5", header_of(kspace), [noise, *readouts_of(kspace)])
        with pytest.raises(ISMRMRDError, match="noise was measured with 2 channels, the image with 4"):
            RawSeries(path)
        np.save(tmp_path / "covariance.npy", np.eye(3))
        with pytest.raises(DataError, match=r"covariance\.npy: has shape \(3, 3\), expected finite numbers \(4, 4\)"):
            RawSeries(path, Coils(noise_covariance=tmp_path / "covariance.npy"))


class TestCommandLine:
    WORDS = ("predict", "--config", "dynamic_mri/locally_low_rank.yaml", "--trainer.accelerator", "cpu")

    def test_a_raw_file_becomes_a_movie(self, command_line):
        kspace, coil_images = measured(slices=2)
        readouts = lines(kspace)
        for readout in readouts:
            readout.position = (10, 20, 30 + 8 * readout.idx.slice)
            readout.read_dir, readout.phase_dir, readout.slice_dir = (0, 1, 0), (0, 0, 1), (1, 0, 0)
            readout.physiology_time_stamp = (16 * readout.idx.phase, 0, 0)
        write("us_1.h5", header_of(kspace), readouts)
        command_line(
            *self.WORDS, "--data.predict_kspace", "us_1.h5", "--prediction.series_formats", "[h5,gif,png,nii.gz]"
        )
        (folder,) = Path("runs").rglob("us_1")
        assert len(list(folder.iterdir())) == 8
        with h5py.File(folder / "slice1_average0.h5") as file:
            attributes, series = dict(file["series"].attrs), file["series"][()]
        np.testing.assert_array_equal(attributes["centre"], (10, 20, 38))
        np.testing.assert_array_equal(attributes["directions"], ((0, 1, 0), (0, 0, 1), (1, 0, 0)))
        # The field of view of 360 mm has 48 samples, of which 24 are kept; that of 270 mm has 32 lines.
        np.testing.assert_allclose(attributes["spacing"], (360 / 48, 270 / 32, 8))
        np.testing.assert_array_equal(attributes["times"], (0, 40, 80, 120, 160))
        assert attributes["origin"] == "measured"
        expected = 2 * coil_images.abs().square().sum(0).sqrt()
        bright = expected > 0.4
        assert (torch.from_numpy(abs(series)) - expected)[bright].norm() < 0.2 * expected[bright].norm()

    @pytest.mark.usefixtures("sandbox_in_this_process")
    def test_what_is_no_raw_file_is_told_in_a_line(self, refused):
        kspace, _ = measured()
        header = xsd.ToXML(header_of(kspace)).replace("cartesian", "epi").encode()
        write("epi.h5", header, readouts_of(kspace)[:3])
        told = refused(*self.WORDS, "--data.predict_kspace", "epi.h5")
        assert "epi.h5" in told
        assert "the trajectory is 'epi', expected one of cartesian, radial, goldenangle, spiral, other:" in told

    def test_a_file_that_hangs_is_given_up(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sandbox, "TIMEOUT", 1.0)
        monkeypatch.setattr(sandbox, "START_TIMEOUT", 1.0)
        monkeypatch.setattr(sandbox, "PROGRAM", "import time; time.sleep(60)")
        with pytest.raises(ISMRMRDError, match=r"scan\.h5: reading it made no progress for 1 s"):
            sandbox.select_raw_files([tmp_path / "scan.h5"])

    def test_a_crash_is_told(self, tmp_path, monkeypatch):
        monkeypatch.setattr(sandbox, "PROGRAM", CRASH)
        with pytest.raises(ISMRMRDError, match=r"second\.h5: reading it crashed the HDF5 library"):
            sandbox.select_raw_files([tmp_path / "first.h5", tmp_path / "second.h5"])

    def test_memory_has_a_limit(self, tmp_path, monkeypatch):
        pytest.importorskip("resource")
        hungry = "sandbox.is_ismrmrd = lambda _: numpy.empty(2**33, numpy.uint8)"
        imports = f"{sandbox.LIGHT_PACKAGE}import numpy; from datamodules.measured.ismrmrd import sandbox"
        program = f"{imports}; {hungry}; sandbox.run_child()"
        monkeypatch.setattr(sandbox, "PROGRAM", program)
        with pytest.raises(ISMRMRDError, match=r"raw\.h5: reading it takes far more memory than the file"):
            sandbox.select_raw_files([tmp_path / "raw.h5"])

    def test_files_of_both_kinds_are_told_apart_and_opened_nowhere_else(self, tmp_path, monkeypatch):
        kspace, _ = measured()
        raw = write(tmp_path / "raw.h5", header_of(kspace), lines(kspace))
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["kspace"] = kspace[0, 0, 0, 0, 0, 0, :1]
        (tmp_path / "damaged.h5").write_bytes(b"text")
        files = sorted(tmp_path.iterdir())
        monkeypatch.setattr(h5py, "File", None)
        assert sandbox.select_raw_files(files) == [raw]
        cut = raw.read_bytes()
        (tmp_path / "cut.h5").write_bytes(cut[: len(cut) // 2 + 1000] + bytes(len(cut) // 2 - 1000))
        with pytest.raises(ISMRMRDError, match=r"cut\.h5: "):
            sandbox.select_raw_files(sorted(tmp_path.iterdir()))


SELECT = (
    f"{sandbox.LIGHT_PACKAGE}\n"
    "from datamodules.measured.ismrmrd.sandbox import select_raw_files\n"
    "read = lambda path: select_raw_files([path])\n"
)
READ = (
    "from datamodules.measured.kspace_files import read_kspace\n"
    "from datamodules.measured.coil_treatment import Coils\n"
    "read = lambda path: read_kspace(path, Coils())\n"
)


@pytest.mark.parametrize(
    "definition", [SELECT, pytest.param(READ, marks=pytest.mark.slow(seconds=20))], ids=["light", "whole package"]
)
def test_a_script_that_reads_raw_files_needs_no_guard(tmp_path, definition):
    """Processes of multiprocessing would run the script again."""
    kspace, _ = measured()
    raw = write(tmp_path / "raw.h5", header_of(kspace), lines(kspace))
    script = tmp_path / "script.py"
    script.write_text(f"{definition}from pathlib import Path\nprint(len(read(Path({str(raw)!r}))))\n")
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    finished = subprocess.run(
        [sys.executable, script], env=os.environ | paths, check=True, capture_output=True, text=True
    )
    assert finished.stdout.split() == ["1"]


@pytest.mark.parametrize(
    "seeds", [range(20), pytest.param(range(20, 220), marks=pytest.mark.slow(seconds=60))], ids=len
)
def test_mutated_files_are_reconstructed_or_refused(tmp_path, seeds):
    """A file that passes the check becomes a sample or a DataError, never another error."""
    kspace, _ = measured()
    path = tmp_path / "scan.h5"
    content = write(path, header_of(kspace), lines(kspace)).read_bytes()
    outcomes = collections.Counter()
    process = worker()
    for seed in seeds:
        path.write_bytes(mutated(content, seed))
        try:
            outcomes[process.submit(outcome_of_series, path).result()] += 1
        except BrokenProcessPool:
            outcomes["HDF5 fails"] += 1
            process = worker()
    process.shutdown()
    assert outcomes["reconstructed"] > 0.1 * len(seeds)
    assert outcomes["refused"] > 0.2 * len(seeds)
    assert outcomes["HDF5 fails"] < 0.05 * len(seeds)
    assert not outcomes["refused without its name"]


def outcome_of_series(path):
    faulthandler.dump_traceback_later(60, exit=True, file=sys.__stderr__)
    try:
        series = RawSeries(path, Coils(virtual=2))
        for number in range(len(series)):
            assert series[number].measurement.isfinite().all()
    except DataError as error:
        return "refused" if str(path) in str(error) else "refused without its name"
    else:
        return "reconstructed"
    finally:
        faulthandler.cancel_dump_traceback_later()
