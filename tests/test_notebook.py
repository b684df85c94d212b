"""The functions for notebooks agree with the command line."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data
from torch import nn

from datamodules import ImageFolder, measure_image, measure_series
from datamodules.dynamic_mri.phantom import beating_heart
from lowrank_unroll.errors import UsageError
from lowrank_unroll.metrics import psnr, ser, ssim
from lowrank_unroll.networks import TLRNet, ViewSharing, ZeroFilled
from lowrank_unroll.notebook import animate, operator_of, quality, reconstruct, show
from lowrank_unroll.operators import LinearOperator
from lowrank_unroll.sample import Sample
from lowrank_unroll.sampling import Uniform, Vista
from lowrank_unroll.weights import load_network

PHOTO = data.chelsea()[100:140, 100:148]


def heart(size=(4, 24, 20)):
    return beating_heart(size, torch.Generator().manual_seed(0))


class Half(LinearOperator):
    def forward(self, image):
        return image / 2

    adjoint = forward


class TestSamples:
    def test_an_image_is_measured_where_the_mask_says(self):
        sample = measure_image(PHOTO, 0.3)
        np.testing.assert_array_equal((255 * sample.target).round().permute(1, 2, 0), PHOTO)
        assert torch.equal(sample.measurement, sample.target * sample.mask)
        assert abs(sample.mask.float().mean() - 0.3) < 0.01
        assert not torch.equal(sample.mask[0], sample.mask[1])

    def test_files_and_arrays_of_any_type_are_the_same_image(self, tmp_path):
        Image.fromarray(PHOTO).save(tmp_path / "photo.png")
        target = measure_image(PHOTO).target
        for image in (tmp_path / "photo.png", str(tmp_path / "photo.png"), PHOTO / 255, torch.tensor(PHOTO)):
            assert torch.equal(measure_image(image).target, target)

    def test_a_file_is_measured_as_the_data_module_does(self, tmp_path):
        Image.fromarray(PHOTO).save(tmp_path / "photo.png")
        ours = measure_image(tmp_path / "photo.png", 0.3, seed=5)
        theirs = ImageFolder(test_folder=tmp_path, ratio=0.3, seed=5).dataset("test")[0]
        assert torch.equal(ours.measurement, theirs.measurement)
        assert (ours.name, ours.origin) == (theirs.name, theirs.origin)

    def test_a_mask_of_ones_own(self):
        mask = np.zeros(PHOTO.shape[:2])
        mask[::3] = 255
        sample = measure_image(PHOTO, mask=mask)
        assert torch.equal(sample.mask, torch.tensor(mask != 0).expand(3, -1, -1))
        np.testing.assert_array_equal(sample.mask[0], measure_image(PHOTO, mask=sample.mask.permute(1, 2, 0)).mask[0])

    def test_pixels_are_measured_in_all_channels_or_each_apart(self):
        mask = measure_image(PHOTO, per_channel=False).mask
        assert torch.equal(mask[0], mask[1])

    def test_a_series_is_measured_in_any_unit(self):
        one, other = (measure_series(scale * heart().numpy(), Uniform(0.5), coils=2, snr=20) for scale in (1, 1024))
        torch.testing.assert_close(one.measurement, other.measurement)
        torch.testing.assert_close(1024 * one.scale, other.scale)
        torch.testing.assert_close((one.target * one.scale).abs(), heart().abs())
        assert one.measurement.shape == (2, 4, 24, 20)

    def test_a_series_of_known_coils_is_what_they_see(self):
        maps = torch.randn(3, 24, 20, dtype=torch.complex64)
        series = heart().to(torch.complex64)
        sample = measure_series(series, Uniform(1.0), coil_sensitivities=maps)
        torch.testing.assert_close(sample.coil_sensitivities[:, 0], maps)
        torch.testing.assert_close(operator_of(sample)(sample.target[None])[0], sample.measurement)

    def test_the_seed_chooses(self):
        assert torch.equal(measure_image(PHOTO, seed=1).mask, measure_image(PHOTO, seed=1).mask)
        assert not torch.equal(measure_image(PHOTO, seed=1).mask, measure_image(PHOTO, seed=2).mask)
        assert not torch.equal(measure_series(heart(), seed=1).target, measure_series(heart(), seed=2).target)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: measure_image(PHOTO, 0), "ratio is 0, expected a share"),
            (lambda: measure_image(PHOTO, seed=-1), "seed is -1, expected at least 0"),
            (lambda: measure_image(np.zeros((3, 40, 48))), r"shape \(3, 40, 48\), expected \(height, width"),
            (lambda: measure_image(2.0 * PHOTO), "float64 values from .*, expected 0 to 1"),
            (lambda: measure_image(np.full((4, 4), np.nan)), "expected finite real numbers"),
            (lambda: measure_image(np.zeros((0, 4))), r"an array of shape \(0, 4\)"),
            (lambda: measure_image(PHOTO, mask=np.ones((3, 3))), r"mask is \(3, 3\), expected the image's"),
            (lambda: measure_image(PHOTO, mask=np.ones((40, 48, 2))), r"mask is \(40, 48, 2\)"),
            (lambda: measure_series(np.ones((8, 8))), r"series is \(8, 8\), expected \(time, height, width\)"),
            (lambda: measure_series(heart(), coils=0), "coils is 0"),
            (lambda: measure_series(heart(), snr=0), "snr is 0"),
            (lambda: measure_series(heart(), coil_sensitivities=np.ones((2, 8, 8))), r"\(2, 8, 8\), expected \(coil,"),
        ],
    )
    def test_what_cannot_be_measured_is_refused_in_one_line(self, call, message):
        with pytest.raises(ValueError, match=message) as caught:
            call()
        assert "\n" not in str(caught.value)

    def test_a_folder_of_images_is_no_image(self, tmp_path):
        for name in "ab":
            Image.fromarray(PHOTO).save(tmp_path / f"{name}.png")
        with pytest.raises(UsageError, match="holds 2 images, expected one"):
            measure_image(tmp_path)


class TestReconstruction:
    @pytest.mark.parametrize(
        "sample", [measure_image(PHOTO), measure_series(heart(), coils=2)], ids=["image", "series"]
    )
    def test_a_sample_is_reconstructed_as_in_a_batch(self, sample):
        network = ZeroFilled() if sample.coil_sensitivities is None else ViewSharing()
        image, batch = reconstruct(network, sample), Sample.stack([sample, sample])
        assert image.shape == sample.target.shape
        assert torch.equal(network(batch.measurement, operator_of(batch))[1], image)
        assert torch.equal(reconstruct(network, batch)[1], image)

    def test_a_network_of_the_box_by_its_name(self):
        sample = measure_image(PHOTO[:16, :16])
        assert torch.equal(reconstruct("color_cs", sample), reconstruct(load_network("color_cs"), sample))

    def test_a_network_stays_in_training_and_leaves_no_graph(self):
        network = TLRNet(iterations=1, features=2)
        image = reconstruct(network, measure_image(PHOTO))
        assert network.training
        assert not image.requires_grad

    @pytest.mark.parametrize("network", ["color_cs", ViewSharing()])
    def test_numpy_arrays_without_a_target(self, network):
        known = measure_image(PHOTO[:16, :16]) if network == "color_cs" else measure_series(heart(), coils=2)
        sample = known._replace(target=None)
        doubled = {torch.float32: np.float64, torch.complex64: np.complex128, torch.bool: np.uint8}
        fields = ((one.numpy().astype(doubled[one.dtype]) if torch.is_tensor(one) else one) for one in sample)
        arrays = Sample._make(fields)._replace(scale=float(sample.scale))
        image = reconstruct(network, sample)
        assert torch.equal(reconstruct(network, arrays), image)
        assert len(show(image.numpy(), arrays).axes) == 3
        assert quality(image.numpy(), known) == quality(image, known)

    def test_an_operator_of_ones_own(self):
        sample = measure_image(PHOTO)
        image = reconstruct(ZeroFilled(), sample, Half())
        assert torch.equal(image, sample.measurement / 2)
        assert show(image, sample, Half()).axes[1].get_title() == f"zero-filled, {float(psnr_of(image, sample)):.1f} dB"

    def test_quality_is_that_of_the_metrics(self):
        sample = measure_image(PHOTO)
        image = reconstruct(ZeroFilled(), sample)
        values = quality(image, sample)
        for name, metric in {"psnr": psnr, "ssim": ssim, "ser": ser}.items():
            assert values[name] == pytest.approx(float(metric(image[None], sample.target[None])))
        both = quality(torch.stack([image, image]), Sample.stack([sample, sample]))
        assert both == pytest.approx(values)

    def test_series_are_judged_as_series(self):
        sample = measure_series(heart((4, 24, 24)), Vista(2), coils=2)
        values = quality(reconstruct(ViewSharing(), sample), sample)
        assert values.keys() == {"psnr", "ssim", "ser", "nmse", "hfen"}
        assert values["psnr"] > quality(reconstruct(ZeroFilled(), sample), sample)["psnr"]

    @pytest.mark.parametrize("look", [quality, show, animate])
    def test_another_image_is_refused(self, look):
        with pytest.raises(ValueError, match=r"the image is \(3, 8, 8\), expected \(3, 40, 48\)"):
            look(torch.zeros(3, 8, 8), measure_image(PHOTO))


class TestPictures:
    def test_a_picture_has_a_row_for_each_sample_and_shows_itself(self):
        batch = Sample.stack([measure_series(heart()), measure_series(heart(), seed=1)])
        picture = show(reconstruct(ZeroFilled(), batch), batch)
        assert len(picture.axes) == 10
        assert picture._repr_html_().startswith('<img src="data:image/png;base64,iVBORw0KGgo')

    def test_the_error_is_that_of_the_image(self):
        sample = measure_image(PHOTO)
        error = show(sample.target + 0.1, sample).axes[3].images[0].get_array()
        np.testing.assert_allclose(np.asarray(error)[sample.target.permute(1, 2, 0) < 0.9], 0.5, rtol=1e-5)

    def test_a_series_moves_alone_or_beside_its_reference(self, tmp_path):
        sample = measure_series(heart())
        image = reconstruct(ZeroFilled(), sample)
        alone, beside = animate(image), animate(image, sample)
        alone.save(tmp_path / "alone.gif")
        sizes = [Image.open(io.BytesIO(movie.gif)).size[0] for movie in (alone, beside)]
        assert sizes[1] == 4 * sizes[0]
        with Image.open(tmp_path / "alone.gif") as movie:
            assert movie.n_frames == 4
        assert alone._repr_html_().startswith('<img src="data:image/gif;base64,R0lGOD')

    def test_a_batch_of_series_does_not_move(self):
        with pytest.raises(ValueError, match="choose one of the batch"):
            animate(torch.zeros(2, 4, 8, 8))


def psnr_of(image, sample):
    return psnr(image[None], sample.target[None])


def test_a_network_of_ones_own_is_any_module():
    class Mine(nn.Module):
        def forward(self, measurement, operator):
            return operator.adjoint(measurement) + 1

    sample = measure_image(PHOTO)
    assert torch.equal(reconstruct(Mine(), sample), sample.measurement + 1)
