import numpy as np
import pytest
import torch
from skimage.metrics import mean_squared_error, peak_signal_noise_ratio, structural_similarity

from lowrank_unroll.metrics import SampleMean, frame_ssim, mse, nmse, of_magnitudes, psnr, ser, ssim


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
    for measure in (psnr, nmse, frame_ssim):
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
    for measure in (nmse, frame_ssim):
        assert measure(reconstruction, target)[2].isnan()
        assert measure(reconstruction, target)[:2].isfinite().all()
