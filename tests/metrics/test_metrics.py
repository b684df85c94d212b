import numpy as np
import pytest
import torch
import torch.multiprocessing
from scipy import ndimage
from skimage import data
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity
from support.forked import forkserver
from torch import distributed

from lowrank_unroll.metrics import (
    SampleMean,
    ergas,
    frame_ssim,
    hfen,
    legacy,
    mse,
    nmse,
    of_magnitudes,
    psnr,
    sam,
    ser,
    ssim,
)
from lowrank_unroll.modules import ColorCS
from lowrank_unroll.networks import TLRNet

MEASURES = (mse, psnr, ser, ssim, nmse, frame_ssim, hfen, sam, ergas, legacy.mse, legacy.ssim)


@pytest.fixture
def images():
    target = torch.rand(3, 3, 24, 20) * torch.tensor([1.0, 0.5, 0.2])[:, None, None, None]
    return (target + 0.05 * torch.randn_like(target)).clamp(0, 1), target


def test_mse_and_psnr_agree_with_scikit_image(images):
    for index, (x, t) in enumerate(zip(*(image.double().numpy() for image in images), strict=True)):
        np.testing.assert_allclose(mse(*images)[index], mean_squared_error(t, x), rtol=1e-5)
        np.testing.assert_allclose(psnr(*images)[index], peak_signal_noise_ratio(t, x, data_range=t.max()), rtol=1e-5)


def test_ssim_agrees_with_scikit_image():
    """On images whose borders are black, since the two continue an image differently beyond its border."""
    target = torch.nn.functional.pad(torch.rand(2, 3, 20, 24), [16] * 4)
    reconstruction = (target + 0.1 * torch.randn_like(target) * (target > 0)).clamp(0, 1)
    for index, (x, t) in enumerate(zip(reconstruction.numpy(), target.numpy(), strict=True)):
        settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
        _, similarity = structural_similarity(t, x, channel_axis=0, full=True, **settings)
        np.testing.assert_allclose(ssim(reconstruction, target)[index], similarity.mean(), rtol=1e-4)


def test_ser_of_a_complex_image():
    target = torch.randn(2, 4, 8, 8, dtype=torch.complex64)
    assert torch.allclose(ser(1.1 * target, target), torch.tensor(20.0), atol=1e-4)
    assert torch.allclose(ser(target * 0.9j, target), 10 * torch.log10(torch.tensor(1 / 1.81)), atol=1e-4)


def test_mean_counts_every_sample_once(images):
    metric = SampleMean(psnr)
    metric.update(images[0][:1], images[1][:1])
    metric.update(images[0][1:], images[1][1:])
    assert torch.allclose(metric.compute(), psnr(*images).mean())


@pytest.mark.slow
def test_mean_of_many_batches_is_as_exact_as_of_one():
    metric = SampleMean(mse)
    error = torch.full((1, 1), 0.1).sqrt()
    for _ in range(20_000):
        metric.update(error, torch.zeros(1, 1))
    assert metric.compute().dtype == torch.float32
    assert metric.compute() == pytest.approx(float(mse(error, torch.zeros(1, 1))), rel=1e-7)


def average_on_one_of_two(rank, folder):
    """Average PSNR over 3 or 2 of 5 samples, the last batch of each process uneven, in a process of its own."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    reconstruction, target = torch.load(folder / "images.pt", weights_only=True)
    metric = SampleMean(psnr)
    for share in ([0, 1], [2]) if rank == 0 else ([3, 4],):
        metric.update(reconstruction[share], target[share])
    torch.save(metric.compute(), folder / f"mean{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not distributed.is_gloo_available(), reason="this PyTorch has no gloo")
def test_mean_over_processes_counts_every_sample_once(tmp_path):
    target = torch.rand(5, 3, 8, 8)
    reconstruction = target + torch.rand(5, 1, 1, 1) * torch.randn_like(target)
    target[4] = 0  # undefined, in one process only
    torch.save((reconstruction, target), tmp_path / "images.pt")
    forkserver()
    torch.multiprocessing.start_processes(average_on_one_of_two, (tmp_path,), 2, start_method="forkserver")
    alone = SampleMean(psnr)
    alone.update(reconstruction, target)
    for rank in (0, 1):
        assert torch.allclose(torch.load(tmp_path / f"mean{rank}.pt", weights_only=True), alone.compute())


def test_mean_leaves_out_what_is_undefined_for_a_black_target(images):
    reconstruction, target = (torch.cat([image, torch.zeros_like(image[:1])]) for image in images)
    for measure, samples in ((psnr, 3), (ser, 3), (mse, 4)):
        metric = SampleMean(measure)
        metric.update(reconstruction, target)
        assert torch.allclose(metric.compute(), measure(reconstruction[:samples], target[:samples]).mean())


def test_a_failed_reconstruction_is_not_left_out(images):
    metric = SampleMean(psnr)
    metric.update(torch.full_like(images[0], torch.nan), images[1])
    assert metric.compute().isnan()


@pytest.fixture
def series():
    """Two complex series (batch, time, height, width), one ten times brighter than the other, and their targets."""
    target = torch.randn(2, 3, 16, 12, dtype=torch.complex64) * torch.tensor([1.0, 10.0])[:, None, None, None]
    return target + 0.1 * torch.randn_like(target), target


def test_magnitude_metrics_ignore_phase(series):
    reconstruction, target = series
    for measure in (psnr, nmse, frame_ssim, hfen):
        of = of_magnitudes(measure)
        assert torch.allclose(of(reconstruction, target), of(1j * reconstruction, target), rtol=1e-4)
        assert torch.equal(of(reconstruction, target), measure(reconstruction.abs(), target.abs()))


def test_nmse_is_the_inverse_of_the_signal_to_error_ratio(series):
    assert torch.allclose(10 * nmse(*series).log10(), -ser(*series), atol=1e-4)


def test_frame_ssim_is_that_of_each_frame_in_the_range_of_its_series(series):
    reconstruction, target = (one.abs() for one in series)
    for index in range(2):
        peak = target[index].max()
        frames = [
            ssim(reconstruction[index, t][None, None] / peak, target[index, t][None, None] / peak) for t in range(3)
        ]
        assert torch.allclose(frame_ssim(reconstruction, target)[index], torch.stack(frames).mean(), atol=1e-5)


def test_series_without_signal_are_left_out(series):
    reconstruction, target = (torch.cat([one, torch.zeros_like(one[:1])]).abs() for one in series)
    for measure in (nmse, frame_ssim, hfen):
        assert measure(reconstruction, target)[2].isnan()
        assert measure(reconstruction, target)[:2].isfinite().all()


ANY_SIZE = (mse, psnr, ser, nmse, legacy.mse)
SCALE_FREE = (psnr, ser, nmse, frame_ssim, hfen, sam, ergas)
ONE_LINE = r"^[^\n]*$"


class TestRefusals:
    @pytest.mark.parametrize("measure", [*MEASURES, of_magnitudes(psnr), of_magnitudes(lambda x, t: (x - t).mean())])
    @pytest.mark.parametrize("share", [np.s_[:1], np.s_[:, :1], np.s_[..., :1], np.s_[..., :-1], np.s_[0]])
    def test_images_of_different_shapes(self, measure, share, images):
        other = images[0][share]
        for pair in ((other, images[1]), (images[1], other)):
            given, expected = (tuple(image.shape) for image in pair)
            with pytest.raises(ValueError, match=ONE_LINE) as caught:
                measure(*pair)
            assert str(caught.value) == f"the reconstruction is {given}, the target {expected}, expected the same shape"

    @pytest.mark.parametrize("measure", [*MEASURES, of_magnitudes(psnr)])
    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
    def test_integers(self, measure, dtype, images):
        whole = (255 * images[1]).to(dtype)
        with pytest.raises(TypeError, match=f"^the target is {dtype}, expected floating-point or complex numbers$"):
            measure(images[0], whole)
        with pytest.raises(TypeError, match=f"^the reconstruction is {dtype}, expected"):
            measure(whole, whole)

    @pytest.mark.parametrize("measure", [ssim, frame_ssim, sam, ergas, legacy.ssim])
    def test_complex_images_where_only_real_ones_have_a_meaning(self, measure, images):
        for pair in ((images[0] + 0j, images[1]), (images[0], images[1] + 0j)):
            with pytest.raises(TypeError, match=r"^the images are complex, expected real ones.*of_magnitudes"):
                measure(*pair)
        assert torch.equal(of_magnitudes(measure)(images[0] + 0j, images[1]), measure(*images))

    @pytest.mark.parametrize(("measure", "smallest"), [(ssim, 6), (frame_ssim, 6), (legacy.ssim, 7)])
    def test_images_smaller_than_the_window(self, measure, smallest):
        for size in ((smallest - 1, 20), (20, smallest - 1)):
            with pytest.raises(ValueError, match=rf"{size[1]}\), expected .*, height and width at least {smallest}$"):
                measure(*torch.rand(2, 1, 3, *size))
        assert measure(*torch.rand(2, 1, 3, smallest, smallest)).isfinite()

    @pytest.mark.parametrize("measure", MEASURES)
    def test_another_number_of_dims(self, measure):
        few = torch.rand(5) if measure in ANY_SIZE else torch.rand(16, 16)
        with pytest.raises(ValueError, match=r"^the images are \(.*\), expected \(batch, .*\)"):
            measure(few, few)

    @pytest.mark.parametrize("measure", MEASURES)
    def test_images_without_pixels(self, measure):
        with pytest.raises(ValueError, match=r"^the images are \(2, 3, 0, 8\), expected \(batch, .*\)"):
            measure(*torch.rand(2, 2, 3, 0, 8))


@pytest.mark.parametrize("measure", MEASURES)
def test_the_more_precise_dtype_is_computed_in(measure, images):
    reconstruction, target = images
    for half in (torch.float16, torch.bfloat16):
        rounded = reconstruction.to(half)
        assert torch.equal(measure(rounded, target), measure(rounded.float(), target))
        assert measure(rounded, rounded).dtype == torch.float32
    assert measure(reconstruction, target.double()).dtype == torch.float64


@pytest.mark.parametrize("measure", MEASURES)
def test_no_measure_depends_on_the_batch(images, measure):
    one_by_one = [measure(x[None], t[None]) for x, t in zip(*images, strict=True)]
    assert torch.allclose(measure(*images), torch.cat(one_by_one), rtol=1e-5)


@pytest.mark.parametrize("exponent", [-38, -30, -21, -10, 0, 4, 10, 19, 25, 30, 37])
@pytest.mark.parametrize("measure", SCALE_FREE)
def test_the_unit_of_the_data_does_not_matter(measure, exponent, images):
    """Nearly from the smallest to the largest that single precision has."""
    unit = float(f"1e{exponent}")
    reconstruction, target = images
    expected = measure(*(image.double() for image in images))
    for phase in (1, 1j):
        if phase == 1j and measure in {frame_ssim, sam, ergas}:
            continue
        measured = measure(unit * phase * reconstruction, unit * phase * target)
        assert torch.allclose(measured.double(), expected, rtol=1e-4)
    assert measure(torch.zeros_like(target), unit * target).isfinite().all()
    double = measure(*(1e-300 * image.double() for image in images))
    assert torch.allclose(double, expected, rtol=1e-10)


@pytest.mark.parametrize("measure", SCALE_FREE)
def test_units_that_are_powers_of_two_change_not_a_bit(measure, images):
    reconstruction, target = images
    assert torch.equal(measure(2.0**80 * reconstruction, 2.0**80 * target), measure(reconstruction, target))


@pytest.mark.parametrize("measure", [mse, nmse, hfen, legacy.mse])
def test_no_error_is_zero(images, measure):
    assert torch.equal(measure(images[1], images[1]), torch.zeros(3))


class TestHFEN:
    def test_of_nothing_is_one_and_it_grows_with_the_error(self, images):
        reconstruction, target = images
        assert torch.allclose(hfen(torch.zeros_like(target), target), torch.ones(3))
        further = target + 3 * (reconstruction - target)
        assert torch.allclose(hfen(further, target), 3 * hfen(reconstruction, target), rtol=1e-5)

    def test_agrees_with_scipy(self, images):
        """SciPy's Laplacian of Gaussian does not mend that its sum is not quite zero where it is cut off."""
        for index, (x, t) in enumerate(zip(*(image.double().numpy() for image in images), strict=True)):
            error, detail = (
                np.stack([ndimage.gaussian_laplace(channel, 1.5, mode="constant", radius=7) for channel in image])
                for image in (x - t, t)
            )
            np.testing.assert_allclose(hfen(*images)[index], np.linalg.norm(error) / np.linalg.norm(detail), rtol=1e-4)

    def test_of_complex_series_is_that_of_their_parts(self, series):
        reconstruction, target = series
        parts = (torch.cat([one.real, one.imag], dim=1) for one in series)
        assert torch.allclose(hfen(reconstruction, target), hfen(*parts), rtol=1e-5)

    def test_ignores_what_is_smooth(self):
        rows = torch.arange(64.0)
        smooth, fine = (torch.sin(2 * torch.pi * rows / period).expand(1, 1, 64, 64) for period in (64, 5))
        edges = torch.zeros(1, 1, 64, 64)
        edges[..., 16:48, 16:48] = 10
        window = torch.hann_window(64)[:, None] * torch.hann_window(64)
        assert hfen(edges + fine * window, edges) > 10 * hfen(edges + smooth * window, edges)


class TestLegacy:
    def test_is_that_of_images_up_to_255(self, images):
        """Compare to scikit-image on values up to 255."""
        for index, (x, t) in enumerate(zip(*(255 * image.double().numpy() for image in images), strict=True)):
            similarity = structural_similarity(t, x, data_range=1, channel_axis=0)
            np.testing.assert_allclose(legacy.ssim(*images)[index], similarity, rtol=1e-6)
            np.testing.assert_allclose(legacy.mse(*images)[index], mean_squared_error(t, x), rtol=1e-5)

    @pytest.mark.parametrize("grey", [0.0, 0.1, 0.5, 0.9, 1.0])
    def test_equal_images_are_similar_also_where_they_are_flat(self, grey):
        flat = torch.full((2, 3, 16, 16), grey)
        assert torch.equal(legacy.ssim(flat, flat), torch.ones(2))

    @pytest.mark.parametrize(("noise", "theirs", "ours"), [(0.01, "0.90", "0.96"), (0.05, "0.48", "0.54")])
    def test_differs_by_what_it_says(self, noise, theirs, ours):
        target = torch.from_numpy(data.chelsea()).permute(2, 0, 1)[None] / 255
        reconstruction = (target + noise * torch.randn_like(target)).clamp(0, 1)
        assert f"{theirs} instead of {ours}" in " ".join(legacy.ssim.__doc__.split())
        assert f"{legacy.ssim(reconstruction, target).item():.2f}" == theirs
        assert f"{ssim(reconstruction, target).item():.2f}" == ours

    def test_is_chosen_by_a_subclass(self, images):
        class PublishedColorCS(ColorCS):
            def metrics(self):
                return super().metrics() | {"ssim": SampleMean(legacy.ssim), "mse": SampleMean(legacy.mse)}

        metrics = PublishedColorCS(TLRNet(iterations=1, features=2)).test_metrics
        metrics.update(*images)
        measured = metrics.compute()
        assert torch.allclose(measured["test/mse"], 65025 * mse(*images).mean())
        assert torch.allclose(measured["test/ssim"], legacy.ssim(*images).mean())
        assert torch.allclose(measured["test/psnr"], psnr(*images).mean())


class TestWhatAMetricSaysOfItself:
    def test_a_mean_says_what_its_measure_says(self):
        mean = SampleMean(of_magnitudes(psnr))
        assert (mean.higher_is_better, mean.label, mean.unit) == (True, "PSNR", "dB")

    def test_what_is_given_goes_first(self):
        mean = SampleMean(psnr, higher_is_better=False, label="Loss of contrast", unit="")
        assert (mean.higher_is_better, mean.label, mean.unit) == (False, "Loss of contrast", "")

    def test_a_function_may_say_nothing(self):
        mean = SampleMean(lambda reconstruction, target: (reconstruction - target).flatten(1).mean(1))
        assert (mean.higher_is_better, mean.label, mean.unit) == (None, "", "")

    def test_a_class_of_ones_own_says_it_for_all(self):
        class Bias(SampleMean):
            higher_is_better, label, unit = False, "Bias", "HU"

            def __init__(self):
                super().__init__(lambda reconstruction, target: (reconstruction - target).flatten(1).mean(1))

        assert (Bias().higher_is_better, Bias().label, Bias().unit) == (False, "Bias", "HU")

    def test_each_measure_of_the_package_has_a_label(self):
        assert all(measure.label for measure in MEASURES)
