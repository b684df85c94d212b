"""Tests of the ISMRMRD writer, by the reader and by the `ismrmrd` package."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from datamodules.dynamic_mri.phantom_scan import PhantomScan
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.ismrmrd.header import Header, Limit, Space, parse_header
from datamodules.measured.ismrmrd.lines import COUNTERS
from datamodules.measured.ismrmrd.raw_file import RawFile
from datamodules.measured.ismrmrd.writer import header_xml, write_ismrmrd
from datamodules.measured.kspace_files import KSpaceFiles
from datamodules.measured.raw_series import RawSeries
from datamodules.measured.readout import crop_readout_kspace
from lowrank_unroll.metrics.functional import psnr
from lowrank_unroll.modules import DynamicMRI
from lowrank_unroll.networks import LocallyLowRankRecon
from lowrank_unroll.operators import Fourier
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import EquispacedLines, Vista

ismrmrd = pytest.importorskip("ismrmrd")
pytest.importorskip("sigpy")

SIZE = (5, 40, 48)
POSITIVE = st.floats(1e-3, 1e6)
SPACES = st.builds(Space, st.tuples(*[st.integers(1, 65535)] * 3), st.tuples(*[POSITIVE] * 3))
LIMITS = st.tuples(*[st.integers(0, 65535)] * 3).map(lambda three: Limit(min(three), max(three), three[0]))
HEADERS = st.builds(
    Header,
    encoded=SPACES,
    recon=SPACES,
    trajectory=st.just("cartesian"),
    limits=st.dictionaries(st.sampled_from([name for _, name in COUNTERS.values()]), LIMITS),
    channels=st.none() | st.integers(1, 256),
    field_strength=st.none() | st.floats(0.01, 20),
    repetition_times=st.lists(POSITIVE, max_size=3).map(tuple),
    echo_times=st.lists(POSITIVE, max_size=3).map(tuple),
    flip_angles=st.lists(st.floats(0, 180), max_size=3).map(tuple),
    pilot_tone=st.booleans(),
    calibration_is_embedded=st.booleans(),
)


@given(HEADERS, st.integers(1, 16))
def test_headers_are_read_as_they_were_written(header, acceleration):
    assert parse_header(header_xml(header, acceleration).encode()) == header


def scan_of(**facts):
    return PhantomScan(**{"pattern": EquispacedLines(4), "size": SIZE, "coils": 3, **facts}).measure()


def two_slices():
    """Return raw data of two slices with different lines."""
    first, second = (scan_of(seed=seed, calibration=10, pattern=Vista(3))[0] for seed in (1, 2))
    place = first.places[0]
    return first._replace(
        kspace=np.concatenate([first.kspace, second.kspace]),
        sampled=np.concatenate([first.sampled, second.sampled]),
        places=[place, place._replace(position=(1.5, 2.5, -3.5))],
        calibration=np.concatenate([first.calibration, second.calibration]),
    )


class TestRoundTrip:
    def test_everything_is_read_as_it_was_measured(self, tmp_path):
        scan = two_slices()
        write_ismrmrd(tmp_path / "scan.h5", scan)
        file = RawFile(tmp_path / "scan.h5")
        assert file.header.encoded == scan.header.encoded
        assert replace(file.header, limits={}) == scan.header
        np.testing.assert_array_equal(file.noise(), scan.noise)
        for number in range(2):
            read = file.kspace(slice=number)
            lines = scan.sampled[number][:, None]
            np.testing.assert_array_equal(read.kspace[0, 0, 0, 0, 0, 0], scan.kspace[number] * lines)
            np.testing.assert_array_equal(read.sampled[0, 0, 0, 0, 0, 0], np.broadcast_to(lines, scan.kspace.shape[2:]))
            np.testing.assert_array_equal(file.calibration(number).kspace, scan.calibration[number])
            for found, written in zip(file.place(slice=number), scan.places[number], strict=True):
                np.testing.assert_array_equal(np.float32(found), np.float32(written))
            np.testing.assert_array_equal(2.5 * file.trigger_stamps("phase", slice=number), scan.times)

    @pytest.mark.slow
    def test_the_package_of_the_format_reads_the_same(self, tmp_path):
        scan = two_slices()
        write_ismrmrd(tmp_path / "scan.h5", scan)
        with ismrmrd.Dataset(str(tmp_path / "scan.h5"), mode="r") as dataset:
            xml = dataset.read_xml_header()
            header = ismrmrd.xsd.CreateFromDocument(xml)
            readouts = [dataset.read_acquisition(number) for number in range(dataset.number_of_acquisitions())]
        assert parse_header(xml).recon == scan.header.recon
        assert header.acquisitionSystemInformation.receiverChannels == 3
        assert header.encoding[0].parallelImaging.accelerationFactor.kspace_encoding_step_1 == 3
        noise, calibration = ismrmrd.ACQ_IS_NOISE_MEASUREMENT, ismrmrd.ACQ_IS_PARALLEL_CALIBRATION
        image = [one for one in readouts if not one.isFlagSet(noise) and not one.isFlagSet(calibration)]
        assert len(image) == scan.sampled.sum()
        for one in image:
            index = one.idx
            np.testing.assert_array_equal(
                one.data, scan.kspace[index.slice, :, index.phase, :, index.kspace_encode_step_1]
            )
            assert one.center_sample == SIZE[1]
        assert [one.isFlagSet(ismrmrd.ACQ_LAST_IN_MEASUREMENT) for one in readouts] == [False] * (len(readouts) - 1) + [
            True
        ]

    def test_a_scan_without_noise_and_calibration_has_neither(self, tmp_path):
        scan, _ = scan_of(snr=None)
        write_ismrmrd(tmp_path / "scan.h5", scan)
        file = RawFile(tmp_path / "scan.h5")
        assert file.noise() is None
        assert file.calibration(0) is None

    def test_what_does_not_fit_is_refused(self, tmp_path):
        scan, _ = scan_of()
        with pytest.raises(ValueError, match=r"the encoded matrix is \(80, 48, 1\), expected \(80, 20, 1\) of k-space"):
            write_ismrmrd(tmp_path / "scan.h5", scan._replace(kspace=scan.kspace[..., :20]))
        with pytest.raises(ValueError, match="2 places and 5 times, expected 1 and 5"):
            write_ismrmrd(tmp_path / "scan.h5", scan._replace(places=2 * scan.places))


class TestPhantom:
    def test_noise_is_as_strong_as_asked_for_and_correlated(self):
        (noisy, heart), (clean, _) = scan_of(snr=20.0), scan_of(snr=None)
        noise = torch.from_numpy(noisy.kspace - clean.kspace)
        sigma = float(heart.abs().square().mean().sqrt()) / 20
        for samples in (noise[0].flatten(1), torch.from_numpy(noisy.noise)):
            assert samples.real.std() == pytest.approx(sigma, rel=0.05)
            likeness = torch.corrcoef(samples).abs() - torch.eye(3)
            assert likeness.max() > 0.1

    def test_the_heart_is_the_middle_of_what_the_coils_see(self):
        scan, heart = scan_of(snr=None)
        everything = torch.ones(scan.kspace.shape[2:], dtype=torch.bool)
        kspace, _ = crop_readout_kspace(torch.from_numpy(scan.kspace[0]), everything, SIZE[1])
        combined = Fourier().adjoint(kspace).abs().square().sum(0).sqrt()
        torch.testing.assert_close(combined, heart.abs(), atol=1e-5, rtol=1e-4)

    def test_the_file_is_reconstructed_as_what_was_measured(self, tmp_path):
        """The reconstruction equals that of the k-space itself, and is close to the heart."""
        scan, heart = scan_of(coils=6, size=(6, 64, 64))
        write_ismrmrd(tmp_path / "scan.h5", scan)
        sample = RawSeries(tmp_path / "scan.h5", Coils(virtual=None, prewhiten=False))[0]
        sampled = torch.from_numpy(scan.sampled[0])[:, None].expand(scan.kspace.shape[2:])
        kspace, mask = crop_readout_kspace(torch.from_numpy(scan.kspace[0]) * sampled, sampled, 64)
        np.savez(
            tmp_path / "direct.npz", kspace=kspace.numpy(), mask=mask.numpy(),
            coil_sensitivities=sample.coil_sensitivities[:, 0].numpy(),
        )  # fmt: skip
        module = DynamicMRI(LocallyLowRankRecon(8, iterations=20))
        direct = KSpaceFiles([tmp_path / "direct.npz"])[0]
        found, expected = (module.predict_step(Sample.stack([one]), 0)[0] for one in (sample, direct))
        assert (found - expected).norm() <= 1e-4 * expected.norm()
        qualities = [float(psnr(one.abs()[None], heart.abs()[None])) for one in (found, expected)]
        assert qualities[0] == pytest.approx(qualities[1], rel=1e-4)
        assert qualities[0] > 25


class TestCommandLine:
    WORDS = ("--size", "3", "32", "40", "--coils", "2", "--acceleration", "3")

    @pytest.mark.usefixtures("sandbox_in_this_process")
    def test_a_file_becomes_a_movie(self, command_line, capsys):
        command_line("phantom", "heart.h5", *self.WORDS, "--reference", "reference.h5")
        told = capsys.readouterr().out
        (words,) = re.findall("lowrank-unroll (predict .*)", told)
        command_line(*words.split(), "--trainer.accelerator", "cpu", "--model.network.iterations", "3")
        (series,) = Path("runs").rglob("slice0_average0.h5")
        with h5py.File(series) as found, h5py.File("reference.h5") as reference:
            assert found["series"].shape == reference["series"].shape == (3, 32, 40)
            np.testing.assert_array_equal(found["series"].attrs["times"], (0, 50, 100))

    def test_the_same_seed_writes_the_same(self, command_line):
        for name, seed in (("one.h5", 7), ("two.h5", 7), ("three.h5", 8)):
            command_line("phantom", name, *self.WORDS, "--seed", seed)
        one, two, three = (RawFile(Path(name)).kspace().kspace for name in ("one.h5", "two.h5", "three.h5"))
        np.testing.assert_array_equal(one, two)
        assert not np.array_equal(one, three)

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            (["heart.npy"], "argument FILE: 'heart.npy': expected a file that ends in .h5 or .mrd"),
            (["there.h5"], "there.h5 exists already: give another name, or remove it first"),
            (["heart.h5", "--reference", "there.h5"], "there.h5 exists already"),
            *(
                (["heart.h5", "--reference", name], f"{name} cannot be the raw file and its reference")
                for name in ("heart.h5", "sub/../heart.h5", "link/heart.h5", "Heart.h5")
            ),
            (["heart.h5", "--coils", "0"], "coils is 0, expected at least 1"),
            (["heart.h5", "--snr", "-1"], "snr is -1.0, expected a positive number"),
            (["heart.h5", "--acceleration", "0.5"], "acceleration is 0.5"),
            (["heart.h5", "--trajectory", "rosette"], "invalid choice: 'rosette'"),
            (["heart.h5", "--trajectory", "radial", "--spokes", "0"], "spokes is 0, expected at least 1"),
            (
                ["heart.h5", "--trajectory", "radial", "--pattern", "Vista", "--acceleration=6"],
                "--pattern, --acceleration: of Cartesian scans, but --trajectory is radial: leave out one or the other",
            ),
            (["heart.h5", "--trajectory", "spiral", "--calibration", "8"], "--calibration: of Cartesian scans"),
            (["heart.h5", "--spokes", "16"], "--spokes: of radial and spiral scans, but --trajectory is cartesian"),
            (["heart.h5", "--pattern", "PseudoRadial"], "invalid choice: 'PseudoRadial'"),
            (["heart.h5", "--size", "3", "0", "40"], "size is (3, 0, 40), expected (time, height, width)"),
            (["heart.h5", "--size", "3", "32"], "argument --size: expected 3 arguments"),
        ],
    )
    def test_mistakes_are_told_in_a_line(self, refused, words, told):
        Path("there.h5").touch()
        Path("link").symlink_to(".")
        answer = refused("phantom", *words)
        assert told in answer
        assert answer.count("\n") == 1
        assert not Path("heart.h5").exists()

    def test_a_missing_package_is_named(self, refused, monkeypatch):
        monkeypatch.setitem(sys.modules, "ismrmrd.hdf5", None)
        told = refused("phantom", "heart.h5", *self.WORDS)
        assert told == 'writing raw files needs ismrmrd: pip install "lowrank-unroll[mri]"\n'
