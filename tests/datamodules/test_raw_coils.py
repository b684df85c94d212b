"""Tests of the coils of raw files: sensitivities by a separate calibration or given, whitened and compressed."""

import numpy as np
import pytest
import torch

from datamodules.dynamic_mri.phantom_scan import PhantomScan
from datamodules.measured.coil_treatment import Coils
from datamodules.measured.ismrmrd.raw_file import RawFile
from datamodules.measured.ismrmrd.writer import write_ismrmrd
from datamodules.measured.raw_series import RawSeries
from lowrank_unroll.errors import DataError
from lowrank_unroll.operators import Fourier
from lowrank_unroll.sampling import EquispacedLines

ismrmrd = pytest.importorskip("ismrmrd")
pytest.importorskip("sigpy")

from test_ismrmrd import header_of, readouts_of, write  # noqa: E402  it needs ismrmrd
from test_raw_series import COILS, HEIGHT, KEEP_ALL, TIME, WIDTH, lines, measured  # noqa: E402

CENTRE = slice(WIDTH // 2 - 8, WIDTH // 2 + 8)


def every_fourth(kspace):
    """Return the same lines in all frames, so that their average has gaps."""
    return [readout for readout in readouts_of(kspace) if readout.idx.kspace_encode_step_1 % 4 == 0]


def calibration(kspace, chosen=CENTRE, flag=ismrmrd.ACQ_IS_PARALLEL_CALIBRATION):
    """Return some lines of the first frame as a separate calibration."""
    readouts = [
        readout
        for readout in readouts_of(kspace[:, :, :, :, :, :, :, :1])
        if readout.idx.kspace_encode_step_1 in range(WIDTH)[chosen]
    ]
    for readout in readouts:
        readout.setFlag(flag)
    return readouts


def noise_scan(coils=COILS):
    """Return a scan of noise that is correlated between coils."""
    mixing = torch.randn(coils, coils, dtype=torch.complex64) + 2 * torch.eye(coils)
    scan = ismrmrd.Acquisition.from_array((mixing @ torch.randn(coils, 4096, dtype=torch.complex64)).numpy())
    scan.setFlag(ismrmrd.ACQ_IS_NOISE_MEASUREMENT)
    return scan


def explained(sample):
    """Return the images of fully sampled virtual coils, and their prediction from the combined series."""
    coil_images = Fourier().adjoint(sample.measurement) * sample.scale
    maps = sample.coil_sensitivities
    series = (maps.conj() * coil_images).sum(0) / maps.abs().square().sum(0).clamp(min=1e-12)
    return coil_images, maps * series, series


def test_a_body_that_goes_on_beyond_the_image_misleads_no_sensitivities(tmp_path):
    """Estimated on the cropped image, sensitivities would leave half of the signal at its edges unexplained."""
    scan, _ = PhantomScan(EquispacedLines(1), size=(3, 64, 64), coils=6, snr=None).measure()
    write_ismrmrd(tmp_path / "scan.h5", scan)
    coil_images, again, _ = explained(RawSeries(tmp_path / "scan.h5")[0])
    for rows in (slice(4), slice(-4, None)):
        error = (again - coil_images)[:, :, rows].norm() / coil_images[:, :, rows].norm()
        assert error < 0.05


class TestSeparateCalibration:
    def test_it_takes_the_place_of_an_average_with_gaps(self, tmp_path):
        kspace, coil_images = measured()
        path = write(tmp_path / "scan.h5", header_of(kspace), calibration(3 * kspace) + every_fourth(kspace))
        (sample,) = RawSeries(path, KEEP_ALL)
        assert sample.mask[0].any(1).float().mean() == 0.25
        truth = coil_images[:, 0] / coil_images[:, 0].abs().square().sum(0).sqrt()
        alike = (sample.coil_sensitivities[:, 0].conj() * truth).sum(0).abs()
        bright = coil_images[:, 0].abs().square().sum(0).sqrt() > 0.2
        assert alike[bright].mean() > 0.98

    def test_all_that_was_measured_of_a_line_is_averaged(self, tmp_path):
        kspace, _ = measured(slices=2)
        wrong = np.ones_like(kspace)
        readouts = calibration(kspace + wrong) + calibration(kspace - wrong) + readouts_of(kspace)
        file = RawFile(write(tmp_path / "scan.h5", header_of(kspace), readouts))
        for number in range(2):
            found = file.calibration(number)
            expected = kspace[0, 0, 0, 0, number, 0, :, 0]
            np.testing.assert_allclose(found.kspace[..., CENTRE], expected[..., CENTRE], rtol=1e-5, atol=1e-5)
            assert (found.sampled == np.isin(np.arange(WIDTH), range(WIDTH)[CENTRE])).all()
            assert not found.kspace[:, ~found.sampled].any()

    def test_shorter_readouts_lie_around_the_centre(self, tmp_path):
        kspace, _ = measured()
        middle = slice(HEIGHT - 10, HEIGHT + 10)
        short = calibration(kspace[..., middle, :])
        for readout in short:
            readout.center_sample = 10
        file = RawFile(write(tmp_path / "scan.h5", header_of(kspace), short + every_fourth(kspace)))
        found = file.calibration(0)
        np.testing.assert_array_equal(found.kspace[:, middle, CENTRE], kspace[0, 0, 0, 0, 0, 0, :, 0, middle, CENTRE])
        assert found.sampled.sum() == 20 * 16

    @pytest.mark.parametrize("virtual", [None, 3])
    def test_its_coils_are_mixed_as_those_of_the_image(self, tmp_path, virtual):
        kspace, _ = measured()
        readouts = [noise_scan(), *calibration(0.5 * kspace), *readouts_of(kspace)]
        path = write(tmp_path / "scan.h5", header_of(kspace), readouts)
        (sample,) = RawSeries(path, Coils(virtual=virtual))
        coil_images, again, _ = explained(sample)
        assert (again - coil_images).norm() < 0.1 * coil_images.norm()

    @pytest.mark.parametrize("kind", ["other coils", "no centre", "reversed", "of the image"])
    def test_what_does_not_fit_leaves_the_average_over_time(self, tmp_path, kind):
        kspace, _ = measured()
        readouts = {
            "other coils": lambda: calibration(kspace[:, :, :, :, :, :, :2]),
            "no centre": lambda: calibration(kspace, slice(0, 12)),
            "reversed": lambda: calibration(kspace),
            "of the image": lambda: calibration(kspace, flag=ismrmrd.ACQ_IS_PARALLEL_CALIBRATION_AND_IMAGING),
        }[kind]()
        if kind == "reversed":
            for readout in readouts:
                readout.setFlag(ismrmrd.ACQ_IS_REVERSE)
        image = lines(kspace)
        with_it, without = (
            RawSeries(write(tmp_path / name, header_of(kspace), scanned), KEEP_ALL)[0]
            for name, scanned in (("with.h5", readouts + image), ("without.h5", image))
        )
        if kind == "of the image":
            assert with_it.mask.sum() > without.mask.sum()
        else:
            assert torch.equal(with_it.measurement, without.measurement)
            assert torch.equal(with_it.coil_sensitivities, without.coil_sensitivities)


@pytest.fixture(scope="module")
def two_slices(tmp_path_factory):
    """A file of two slices, fully sampled; it is written once, since that takes a second."""
    kspace, _ = measured(slices=2)
    return write(tmp_path_factory.mktemp("two_slices") / "scan.h5", header_of(kspace), readouts_of(kspace))


class TestGivenSensitivities:
    @pytest.mark.parametrize("unit", [1.0, 7.0])
    @pytest.mark.parametrize("virtual", [None, 3])
    def test_the_series_is_that_which_such_coils_see(self, tmp_path, unit, virtual):
        kspace, coil_images = measured(slices=2)
        series = coil_images.abs().square().sum(0).sqrt().clamp(min=1e-6)
        truth = (coil_images / series).mean(1)  # the heart's phase over time is not the coils'
        of_coils = (truth[:, None] * series).numpy()
        kspace = wide(of_coils, 2)
        np.save(tmp_path / "maps.npy", unit * truth.numpy())
        path = write(tmp_path / "scan.h5", header_of(kspace), [noise_scan(), *readouts_of(kspace)])
        found = RawSeries(path, Coils(virtual=virtual, sensitivities=tmp_path / "maps.npy"))
        for number in range(2):
            coil_images, again, image = explained(found[number])
            tolerance = 1e-4 if virtual is None else 0.1
            assert (again - coil_images).norm() <= tolerance * coil_images.norm()
            expected = (number + 1) * series / unit
            assert (image - expected).norm() <= tolerance * expected.norm()
            assert found[number].coil_sensitivities.abs().square().sum(0).max() <= 1 + 1e-5

    def test_each_slice_has_its_own(self, tmp_path, two_slices):
        maps = np.random.default_rng(0).standard_normal((2, COILS, HEIGHT, WIDTH)) + 1j
        np.save(tmp_path / "maps.npy", maps)
        found = RawSeries(two_slices, Coils(virtual=None, prewhiten=False, sensitivities=tmp_path / "maps.npy"))
        for number in range(2):
            gain = np.sqrt((abs(maps[number]) ** 2).sum(0)).max()
            np.testing.assert_allclose(found[number].coil_sensitivities[:, 0], maps[number] / gain, rtol=1e-5)

    def test_a_centre_with_gaps_needs_no_other(self, tmp_path):
        kspace, coil_images = measured()
        np.save(tmp_path / "maps.npy", coil_images[:, 0].numpy())
        path = write(tmp_path / "scan.h5", header_of(kspace), every_fourth(kspace))
        with pytest.raises(DataError, match=r"--data\.raw_coils\.sensitivities FILE\.npy"):
            RawSeries(path, KEEP_ALL)[0]
        sample = RawSeries(path, Coils(sensitivities=tmp_path / "maps.npy"))[0]
        assert sample.measurement.shape == (COILS, TIME, HEIGHT, WIDTH)

    @pytest.mark.parametrize(
        ("array", "told"),
        [
            (np.ones((COILS, 2 * HEIGHT, WIDTH)), r"has shape \(4, 48, 32\), expected finite numbers \(4, 24, 32\) or"),
            (
                np.ones((3, COILS, HEIGHT, WIDTH)),
                r"expected finite numbers \(4, 24, 32\) or \(2, 4, 24, 32\), coil sens",
            ),
            (np.full((COILS, HEIGHT, WIDTH), np.nan), "expected finite numbers"),
            (np.zeros((COILS, HEIGHT, WIDTH)), "the largest sensitivity of a slice is 0e"),
            (np.array(["text"]), "cannot be read as coil sensitivities"),
            (np.array([None]), "cannot be read as coil sensitivities"),
        ],
        ids=["oversampled", "slices", "NaN", "zero", "text", "objects"],
    )
    def test_what_does_not_fit_is_refused_by_name(self, tmp_path, two_slices, array, told):
        np.save(tmp_path / "maps.npy", array, allow_pickle=True)
        with pytest.raises(DataError, match=rf"maps\.npy: .*{told}"):
            RawSeries(two_slices, Coils(sensitivities=tmp_path / "maps.npy"))

    def test_a_missing_file_is_named(self, tmp_path, two_slices):
        with pytest.raises(FileNotFoundError, match=r"there is no file .*maps\.npy"):
            RawSeries(two_slices, Coils(sensitivities=tmp_path / "maps.npy"))


def wide(coil_images, slices):
    """Return k-space of `DIMS` of coil images (coil, time, height, width), oversampled; slices grow brighter."""
    margin = ((0, 0), (0, 0), (HEIGHT // 2, HEIGHT // 2), (0, 0))
    kspace = Fourier()(torch.from_numpy(np.pad(coil_images, margin))).numpy()
    return np.stack([(number + 1) * kspace for number in range(slices)])[None, None, None, None, :, None]
