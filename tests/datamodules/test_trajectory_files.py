"""Tests of raw files of spokes and spirals, written by the `ismrmrd` package, whose k-space is known in closed form."""

import collections
import faulthandler
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from datamodules.dynamic_mri.elliptic_scan import EllipticScan
from datamodules.dynamic_mri.phantom import elliptic_heart
from datamodules.dynamic_mri.phantom.fourier_coils import FourierCoils
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.coils import compression_matrix, mix_coils, noise_covariance, whitening_matrix
from datamodules.measured.ismrmrd.trajectory_file import TrajectoryFile
from datamodules.measured.ismrmrd.writer import write_trajectory_scan
from datamodules.measured.kspace_files import read_kspace
from datamodules.measured.raw_series import RawSeries
from datamodules.measured.spokes import Spokes
from datamodules.measured.trajectory_series import TrajectorySeries
from lowrank_unroll.errors import DataError
from lowrank_unroll.operators import series_operator
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import GoldenAngleRadial, Spiral

ismrmrd = pytest.importorskip("ismrmrd")
xsd = pytest.importorskip("ismrmrd.xsd")
pytest.importorskip("sigpy")

from test_ismrmrd import mutated, worker, write  # noqa: E402  it needs ismrmrd

FRAMES, SIDE, COILS, SPOKES = 2, 24, 4, 20
KEEP_ALL = Coils(virtual=None, prewhiten=False)
FOUND = Spokes()


def header(trajectory="goldenangle", oversampling=2, matrix=(SIDE, SIDE)):
    def space(factor):
        size = xsd.matrixSizeType(x=factor * matrix[0], y=factor * matrix[1], z=1)
        view = xsd.fieldOfViewMm(x=factor * 300.0, y=factor * 300.0, z=8.0)
        return xsd.encodingSpaceType(matrixSize=size, fieldOfView_mm=view)

    encoding = xsd.encodingType(
        encodedSpace=space(oversampling),
        reconSpace=space(1),
        encodingLimits=xsd.encodingLimitsType(),
        trajectory=xsd.trajectoryType(trajectory),
    )
    return xsd.ismrmrdHeader(
        experimentalConditions=xsd.experimentalConditionsType(H1resonanceFrequency_Hz=63_500_000),
        encoding=[encoding],
        sequenceParameters=xsd.sequenceParametersType(TR=[3.0]),
    )


class Scan:
    """K-space (coil, readout, sample) of a heart; trajectory (readout, sample, 2) in cycles per field of view."""

    def __init__(self, pattern=GoldenAngleRadial(SPOKES, 2 * SIDE), readouts=SPOKES):  # noqa: B008
        generator = torch.Generator().manual_seed(0)
        heart = elliptic_heart((FRAMES, SIDE, SIDE), generator)
        self.coils = FourierCoils.draw(COILS, generator)
        trajectory = pattern((FRAMES, SIDE, SIDE), generator)
        kspace = heart.kspace(trajectory, (SIDE, SIDE), self.coils)
        self.kspace = kspace.unflatten(2, (readouts, -1)).flatten(1, 2)
        self.trajectory = trajectory.unflatten(1, (readouts, -1)).flatten(0, 1)
        self.heart = heart

    def readouts(self, unit=1 / SIDE, dims=2, counter="repetition"):
        """Return acquisitions with the trajectory in a unit, and frames by a counter."""
        found = []
        for number in range(self.kspace.shape[1]):
            readout = ismrmrd.Acquisition.from_array(self.kspace[:, number].numpy())
            found.append(self._with(readout, number, unit, dims, counter))
        return found

    def _with(self, readout, number, unit, dims, counter):
        data = readout.data.copy()
        readout.resize(data.shape[1], data.shape[0], dims)
        readout.data[:] = data
        if dims:
            readout.traj[:, :2] = self.trajectory[number] * unit
        readout.center_sample = data.shape[1] // 2
        setattr(readout.idx, counter, number // (self.kspace.shape[1] // FRAMES))
        readout.idx.kspace_encode_step_1 = number
        readout.acquisition_time_stamp = 1000 + 2 * number
        return readout


@pytest.fixture(scope="module")
def scan():
    return Scan()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "scan.h5"


def unweighted(sample):
    return sample.measurement * sample.scale / sample.weights.sqrt()


def framed(values, frames=FRAMES):
    """Split readouts (..., readout, sample, ...) into frames of all their samples."""
    return (
        values.unflatten(-2, (frames, -1)).flatten(-2)
        if values.is_complex()
        else values.unflatten(0, (frames, -1)).flatten(1, 2)
    )


class TestSample:
    def test_it_holds_what_was_measured_and_where(self, scan, path):
        (sample,) = TrajectorySeries(write(path, header(), scan.readouts()), KEEP_ALL)
        torch.testing.assert_close(sample.trajectory, framed(scan.trajectory), atol=1e-4, rtol=0)
        torch.testing.assert_close(unweighted(sample), framed(scan.kspace), atol=1e-3, rtol=1e-4)
        assert sample.mask.all()
        assert sample.mask.shape == (1, FRAMES, SPOKES * 2 * SIDE)
        assert (sample.name, sample.origin, sample.target) == ("scan/slice0_average0", "measured", None)
        np.testing.assert_allclose(sample.geometry.spacing, (300 / SIDE, 300 / SIDE, 8))
        np.testing.assert_allclose(sample.geometry.times, 5 * (SPOKES * np.arange(FRAMES) + (SPOKES - 1) / 2))

    def test_least_squares_of_it_is_the_heart(self, scan, path):
        (sample,) = TrajectorySeries(write(path, header(), scan.readouts()), KEEP_ALL)
        batch = Sample.stack([sample])
        operator = series_operator(batch.mask, batch.coil_sensitivities, batch.trajectory, batch.weights)
        image = operator.adjoint(batch.measurement)
        for _ in range(30):
            image = image + operator.adjoint(batch.measurement - operator(image))
        truth = scan.heart.image((SIDE, SIDE))
        assert (image[0].abs() * sample.scale - truth.abs()).norm() < 0.2 * truth.norm()

    def test_sensitivities_are_those_of_the_coils(self, scan, path):
        """Up to a phase of each pixel, where there is signal."""
        (sample,) = TrajectorySeries(write(path, header(), scan.readouts()), KEEP_ALL)
        truth = scan.coils.sensitivities((SIDE, SIDE))[:, 0]
        truth = truth / truth.abs().square().sum(0).sqrt()
        likeness = (truth.conj() * sample.coil_sensitivities[:, 0]).sum(0).abs()
        body = scan.heart.image((SIDE, SIDE)).abs().mean(0) > 0.1
        assert likeness[body].mean() > 0.98

    def test_spirals(self, path):
        scan = Scan(Spiral(4), readouts=4)
        (sample,) = TrajectorySeries(write(path, header("spiral", oversampling=1), scan.readouts()), KEEP_ALL)
        torch.testing.assert_close(sample.trajectory, framed(scan.trajectory), atol=1e-4, rtol=0)
        torch.testing.assert_close(unweighted(sample), framed(scan.kspace), atol=1e-3, rtol=1e-4)

    def test_a_file_is_recognized_by_its_header(self, scan, path, monkeypatch):
        monkeypatch.setattr("datamodules.measured.kspace_files.select_raw_files", list)
        write(path, header(), scan.readouts())
        assert read_kspace(path, KEEP_ALL)[0].trajectory is not None
        with pytest.raises(DataError, match=r"scan\.h5: .* the trajectory is 'goldenangle', expected 'cartesian'"):
            RawSeries(path)

    def test_samples_beyond_the_resolution_of_the_matrix_are_masked(self, scan, path):
        fine = header()
        for space, factor in ((fine.encoding[0].encodedSpace, 2), (fine.encoding[0].reconSpace, 1)):
            space.matrixSize.x = space.matrixSize.y = factor * SIDE
        fine.encoding[0].reconSpace.matrixSize.x = 16
        (sample,) = TrajectorySeries(write(path, fine, scan.readouts()), KEEP_ALL)
        beyond = sample.trajectory[..., 0].abs() > 0.5001 * 16
        assert torch.equal(sample.mask[0], ~beyond)
        assert not sample.measurement[:, beyond].any()
        assert sample.coil_sensitivities.shape[-2:] == (16, SIDE)

    def test_discarded_samples_are_left_out(self, scan, path):
        readouts = scan.readouts()
        readouts[2].discard_pre, readouts[5].discard_post = 3, 2
        (sample,) = TrajectorySeries(write(path, header(), readouts), KEEP_ALL)
        torch.testing.assert_close(sample.trajectory, framed(scan.trajectory[:, 3:-2]), atol=1e-4, rtol=0)

    def test_coils_are_whitened_and_compressed(self, scan, path):
        mixing = torch.randn(COILS, COILS, generator=torch.Generator().manual_seed(1)) + 2 * torch.eye(COILS)
        noise = (mixing @ torch.randn(COILS, 512, generator=torch.Generator().manual_seed(2))).to(torch.complex64)
        measured = ismrmrd.Acquisition.from_array(noise.numpy())
        measured.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
        (sample,) = TrajectorySeries(write(path, header(), [measured, *scan.readouts()]), Coils(virtual=2))
        covariance = noise_covariance(noise)
        white = mix_coils(whitening_matrix(covariance / covariance.diagonal().real.mean()), scan.kspace)
        expected = mix_coils(compression_matrix(white, 2), white)
        found = unweighted(sample)
        assert sample.coil_sensitivities.shape == (2, 1, SIDE, SIDE)
        for one, other in zip(found.flatten(1), framed(expected).flatten(1), strict=True):
            assert torch.vdot(one, other).abs() > 0.999 * one.norm() * other.norm()  # up to a phase

    def test_a_single_coil_has_sensitivity_one(self, scan, path):
        (sample,) = TrajectorySeries(write(path, header(), scan.readouts()), Coils(virtual=1, prewhiten=False))
        assert torch.equal(sample.coil_sensitivities, torch.ones(1, 1, SIDE, SIDE) + 0j)


class TestPositions:
    def trajectory(self, path, readouts, spokes, head=None):
        file = TrajectoryFile(write(path, head or header(), readouts))
        return spokes.trajectory(file.readouts(), file.header)

    @pytest.mark.parametrize(
        ("unit", "spokes"),
        [
            (1 / SIDE, FOUND),
            (2, FOUND),
            (2 * np.pi / SIDE, Spokes(unit=1 / (2 * np.pi))),
            (1 / 0.3, Spokes(unit=0.3 / SIDE)),
        ],
        ids=["pixel", "view", "radians", "metre"],
    )
    def test_units_are_found_or_given(self, scan, path, unit, spokes):
        found = self.trajectory(path, scan.readouts(unit), spokes)
        np.testing.assert_allclose(found, scan.trajectory, atol=1e-4)

    @pytest.mark.parametrize("unit", [2 * np.pi / SIDE, 1 / 0.3, 0.2 / SIDE, 0])
    def test_other_units_are_refused(self, scan, path, unit):
        with pytest.raises(
            ValueError, match=r"the largest coordinate of the trajectory is .*, expected about 0\.5 .*unit"
        ):
            self.trajectory(path, scan.readouts(unit), FOUND)

    def test_spokes_at_a_given_angle(self, scan, path):
        """The first spoke of the pattern has any angle, that of the file is along the read direction."""
        found = self.trajectory(path, scan.readouts(dims=0), Spokes(angle=111.246117975))
        first = scan.trajectory[0, 0] / scan.trajectory[0, 0].norm()
        across = torch.stack([-first[1], first[0]])
        for axis, direction in enumerate((first, across)):
            np.testing.assert_allclose(abs(found[..., axis]), abs(scan.trajectory @ direction), atol=1e-3)
        assert abs(found[0, :, 1]).max() == 0

    @pytest.mark.parametrize("delay", [(0.7, 0.7), (-1.5, 0.25)])
    def test_late_gradients(self, scan, path, delay):
        step = scan.trajectory[:, 1:2] - scan.trajectory[:, :1]
        found = self.trajectory(path, scan.readouts(), Spokes(delay=delay))
        np.testing.assert_allclose(found, scan.trajectory - step * torch.tensor(delay), atol=1e-4)

    def test_a_field_of_view_that_is_no_square(self, scan, path):
        head = header()
        head.encoding[0].reconSpace.fieldOfView_mm.y = 150.0
        found = self.trajectory(path, scan.readouts(), FOUND, head)
        np.testing.assert_allclose(found, scan.trajectory * torch.tensor([1, 0.5]), atol=1e-4)


class TestFrames:
    @pytest.mark.parametrize(("per_frame", "step"), [(7, None), (20, 5), (40, 1)])
    def test_consecutive_spokes(self, scan, path, per_frame, step):
        (sample,) = TrajectorySeries(
            write(path, header(), scan.readouts(counter="phase")), KEEP_ALL, Spokes(per_frame=per_frame, step=step)
        )
        starts = range(0, FRAMES * SPOKES - per_frame + 1, step or per_frame)
        assert len(sample.trajectory) == len(starts)
        for frame, start in enumerate(starts):
            expected = scan.trajectory[start : start + per_frame].flatten(0, 1)
            torch.testing.assert_close(sample.trajectory[frame], expected, atol=1e-4, rtol=0)
        np.testing.assert_allclose(sample.geometry.times, [5 * (start + (per_frame - 1) / 2) for start in starts])

    @pytest.mark.parametrize("counter", ["phase", "repetition"])
    def test_a_frame_with_fewer_spokes_repeats_some_at_a_part_of_their_weight(self, scan, path, counter):
        readouts = scan.readouts(counter=counter)
        del readouts[SPOKES : SPOKES + 10]  # the first ten of the second frame
        (sample,) = TrajectorySeries(write(path, header(), readouts), KEEP_ALL)
        once, twice = sample.trajectory[1].unflatten(0, (2, -1))
        assert torch.equal(once, twice)
        assert len(sample.trajectory) == FRAMES
        weights = sample.weights[1].unflatten(0, (2, -1))
        torch.testing.assert_close(weights[0], weights[1])

    def test_all_in_one_frame_is_told(self, scan, path, caplog):
        readouts = scan.readouts()
        for readout in readouts:
            readout.idx.repetition = 0
        (sample,) = TrajectorySeries(write(path, header(), readouts), KEEP_ALL)
        assert len(sample.trajectory) == 1
        assert "scan.h5: all readouts are in a single frame: give the spokes of a frame" in caplog.text

    def test_slices_are_series(self, scan, path):
        readouts = scan.readouts()
        for number, readout in enumerate(readouts):
            readout.idx.slice = number % 2
        series = TrajectorySeries(write(path, header(), readouts), KEEP_ALL, Spokes(per_frame=10))
        assert series.names == ["scan/slice0_average0", "scan/slice1_average0"]
        expected = scan.trajectory[1::2][:10].flatten(0, 1)
        torch.testing.assert_close(series[1].trajectory[0], expected, atol=1e-4, rtol=0)


class TestRefusal:
    def refusal(self, path, readouts, spokes=FOUND, head=None):
        write(path, head or header(), readouts)
        with pytest.raises(DataError) as caught:
            TrajectorySeries(path, KEEP_ALL, spokes)[0]
        told = str(caught.value)
        assert told.startswith(f"{path}: ")
        assert "\n" not in told
        return told

    def test_no_trajectory(self, scan, path):
        told = self.refusal(path, scan.readouts(dims=0))
        assert "no trajectory is stored" in told
        assert "--data.raw_spokes.angle" in told

    def test_a_trajectory_in_space(self, scan, path):
        readouts = scan.readouts(dims=3)
        assert len(TrajectorySeries(write(path, header(), readouts), KEEP_ALL)[0].trajectory) == FRAMES
        readouts[7].traj[3, 2] = 0.1
        assert "the third dim of the trajectory is not zero" in self.refusal(path, readouts)

    def test_partitions(self, scan, path):
        head = header()
        head.encoding[0].encodedSpace.matrixSize.z = 4
        told = self.refusal(path, scan.readouts(), head=head)
        assert "is of a volume of 4 partitions, expected slices" in told
        assert "Fourier transform k-space across the partitions" in told

    def test_partitions_that_the_header_does_not_know(self, scan, path):
        readouts = scan.readouts()
        readouts[5].idx.kspace_encode_step_2 = 3
        assert "kz of some readout is 3, beyond the 1 of the header" in self.refusal(path, readouts)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_positions_that_are_not_finite(self, scan, path, value):
        readouts = scan.readouts()
        readouts[4].traj[1, 0] = value
        assert "NaN or infinity in traj of readouts" in self.refusal(path, readouts)

    def test_dims_that_differ(self, scan, path):
        readouts = [*scan.readouts()[:25], *scan.readouts(dims=0)[25:]]
        assert "trajectories have 0 to 2 dims, expected 2 in all readouts, or none" in self.refusal(path, readouts)

    def test_samples_that_differ(self, scan, path):
        readouts = scan.readouts()
        readouts[3] = ismrmrd.Acquisition.from_array(np.ones((COILS, SIDE), np.complex64))
        assert f"readouts have {SIDE} to {2 * SIDE} samples" in self.refusal(path, readouts)

    def test_positions_of_another_number(self, scan, path):
        write(path, header(), scan.readouts())
        with h5py.File(path, "r+") as file:
            rows = file["dataset/data"][()]
            rows["traj"][5] = rows["traj"][5][:-2]
            del file["dataset/data"]
            file["dataset"].create_dataset("data", data=rows)
        with pytest.raises(DataError, match=r"scan\.h5: .*traj of a readout has 94 numbers, expected 96"):
            TrajectorySeries(path, KEEP_ALL)[0]

    def test_too_few_spokes(self, scan, path):
        told = self.refusal(path, scan.readouts(), Spokes(per_frame=41))
        assert "a series has 40 readouts, fewer than the 41 of a frame" in told

    def test_a_center_with_gaps(self, scan, path):
        told = self.refusal(path, scan.readouts()[:4])
        assert "of the centre of k-space are sampled by any frame" in told

    def test_a_matrix_that_samples_cannot_fill(self, scan, path):
        told = self.refusal(path, scan.readouts(), head=header(matrix=(9999, 9999)), spokes=Spokes(unit=1.0))
        assert "the reconstructed matrix (9999, 9999) of the header has more than 64 times as many pixels" in told

    def test_no_field_of_view(self, scan, path):
        head = header()
        head.encoding[0].reconSpace.fieldOfView_mm.x = 0.0
        assert "fieldOfView_mm of the header is 0" in self.refusal(path, scan.readouts(), head=head)

    def test_no_common_sample(self, scan, path):
        readouts = scan.readouts()
        readouts[0].discard_pre, readouts[1].discard_post = SIDE, SIDE
        assert "no sample is kept by all readouts" in self.refusal(path, readouts)

    @pytest.mark.parametrize(
        ("settings", "told"),
        [
            ({"per_frame": 0}, "per_frame is 0"),
            ({"step": 0}, "step is 0"),
            ({"unit": 0.0}, "unit is 0.0"),
            ({"step": 5}, "step is 5, expected per_frame with it"),
            ({"angle": float("nan")}, "angle is nan, expected finite numbers"),
            ({"delay": (0.0, float("inf"))}, r"delay is \(0.0, inf\), expected finite numbers"),
        ],
    )
    def test_settings(self, settings, told):
        with pytest.raises(ValueError, match=told):
            Spokes(**settings)


@pytest.mark.slow(seconds=90)
def test_mutated_files_are_read_or_refused(scan, path):
    seeds = range(100)
    content = write(path, header(), scan.readouts()[: SPOKES + 4]).read_bytes()
    outcomes = collections.Counter()
    process = worker()
    for seed in seeds:
        path.write_bytes(mutated(content, seed))
        try:
            outcomes[process.submit(outcome, path).result()] += 1
        except BrokenProcessPool:
            outcomes["HDF5 fails"] += 1
            process = worker()
    process.shutdown()
    assert outcomes["read"] > 0.1 * len(seeds)
    assert outcomes["refused"] > 0.2 * len(seeds)
    assert outcomes["HDF5 fails"] < 0.1 * len(seeds)
    assert outcomes["read"] + outcomes["refused"] + outcomes["HDF5 fails"] == len(seeds)


def outcome(path):
    faulthandler.dump_traceback_later(60, exit=True, file=sys.__stderr__)
    try:
        series = TrajectorySeries(path, Coils(virtual=1, prewhiten=False), Spokes(per_frame=8))
        for number in range(len(series)):
            assert series[number].measurement.isfinite().all()
    except DataError as error:
        told = str(error)
        return "refused" if str(path) in told and "\n" not in told else "refused without its name"
    else:
        return "read"
    finally:
        faulthandler.cancel_dump_traceback_later()


class TestPhantom:
    @pytest.mark.parametrize("trajectory", ["radial", "spiral"])
    def test_a_scan_is_read_as_it_was_written(self, path, trajectory):
        scan, _ = EllipticScan(trajectory, 6, (2, 24, 32), coils=2).measure()
        write_trajectory_scan(path, scan)
        file = TrajectoryFile(path)
        readouts = file.readouts()
        np.testing.assert_array_equal(readouts.kspace, scan.kspace.transpose(1, 2, 0, 3).reshape(readouts.kspace.shape))
        np.testing.assert_array_equal(readouts.stored, scan.trajectory.reshape(readouts.stored.shape))
        np.testing.assert_array_equal(file.noise(), scan.noise)
        found = FOUND.trajectory(readouts, file.header)
        np.testing.assert_allclose(found, scan.trajectory.reshape(found.shape) * (24, 32), atol=1e-4)
        with ismrmrd.Dataset(str(path), mode="r") as dataset:
            last = dataset.read_acquisition(dataset.number_of_acquisitions() - 1)
        np.testing.assert_array_equal(last.traj, scan.trajectory[-1, -1])
        np.testing.assert_array_equal(last.data, scan.kspace[:, -1, -1])

    def test_noise_is_as_strong_as_asked_for(self):
        (noisy, heart), (clean, _) = (
            EllipticScan("radial", 8, (2, 24, 24), coils=2, snr=snr).measure() for snr in (20.0, None)
        )
        # A readout has twice as many samples as pixels, over which the image averages.
        sigma = 2**0.5 * float(heart.abs().square().mean().sqrt()) / 20
        assert (noisy.kspace - clean.kspace).real.std() == pytest.approx(sigma, rel=0.1)
        assert clean.noise is None

    def test_what_does_not_fit_is_refused(self, path):
        scan, _ = EllipticScan("radial", 4, (2, 16, 16), coils=2).measure()
        with pytest.raises(ValueError, match="the trajectory and the number of times are"):
            write_trajectory_scan(path, scan._replace(times=[0.0]))
        with pytest.raises(ValueError, match="trajectory is 'rosette', expected one of radial, spiral"):
            EllipticScan("rosette")

    @pytest.mark.slow(seconds=10)
    @pytest.mark.usefixtures("sandbox_in_this_process")
    def test_a_file_becomes_a_movie(self, command_line, capsys):
        words = ("--size", "3", "32", "32", "--coils", "3", "--trajectory", "radial", "--spokes", "12")
        command_line("phantom", "heart.h5", *words, "--reference", "reference.h5")
        assert "12 spokes per frame" in capsys.readouterr().out
        command_line(
            "predict", "--config", "dynamic_mri/locally_low_rank.yaml", "--data.predict_kspace", "heart.h5",
            "--trainer.accelerator", "cpu", "--model.network.iterations", "3",
            "--data.raw_spokes.per_frame", "18", "--prediction.series_formats", "[h5,gif,png,nii.gz,dcm,mrd]",
        )  # fmt: skip
        (folder,) = Path("runs").rglob("heart")
        assert {file.name.partition(".")[2] for file in folder.iterdir()} == {
            "h5",
            "gif",
            "png",
            "nii.gz",
            "dcm",
            "mrd",
        }
        with h5py.File(folder / "slice0_average0.h5") as found, h5py.File("reference.h5") as reference:
            assert found["series"].shape == (2, 32, 32)
            image, truth = abs(found["series"][()]).mean(0), abs(reference["series"][()]).mean(0)
        assert np.corrcoef(image.ravel(), truth.ravel())[0, 1] > 0.8
