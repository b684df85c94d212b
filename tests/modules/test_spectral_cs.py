"""The task of cubes: its pictures, its metrics, and what a user does from a folder of cubes to a prediction."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from datamodules import measure_cube
from datamodules.spectral.synthetic_cubes import draw_cube
from lowrank_unroll.errors import UsageError
from lowrank_unroll.modules import ColorCS, SpectralCS
from lowrank_unroll.networks import FeatureUnrolledNet, ZeroFilled
from lowrank_unroll.notebook import quality, show
from lowrank_unroll.pictures import figure_of_panels, make_panel
from lowrank_unroll.sampling import WholeBands


def cube(bands=6, height=12, width=10, seed=0):
    return draw_cube((bands, height, width), 3, torch.Generator().manual_seed(seed))


class TestPictures:
    @pytest.mark.parametrize(("given", "shown"), [(None, [5, 3, 1]), ((0, 2, 0), [0, 2, 0])])
    def test_three_bands_are_shown(self, given, shown):
        image = cube()
        picture = SpectralCS(nn.Identity(), color_bands=given).picture(image, image)
        assert picture.shape == (3, 12, 10)
        ratio = image[shown] / picture
        assert torch.allclose(ratio, ratio[:, :1, :1].expand_as(ratio))
        assert (picture.flatten(1).amax(1) >= 1).all()
        assert ((picture <= 1).float().mean((1, 2)) >= 0.98).all()

    @pytest.mark.parametrize("bands", [1, 2, 3, 31])
    def test_cubes_of_any_number_of_bands_have_a_picture(self, bands):
        image = cube(bands)
        assert SpectralCS(nn.Identity()).picture(image, image).shape == (3, 12, 10)

    def test_a_band_that_is_not_there_is_refused(self):
        with pytest.raises(
            UsageError, match=r"color_bands is \[0, 2, 6\], but the cube has bands 0 to 5: .*color_bands$"
        ):
            SpectralCS(nn.Identity(), color_bands=(0, 2, 6)).picture(cube(), cube())

    def test_the_brightness_is_that_of_the_target(self):
        task, image = SpectralCS(nn.Identity()), cube()
        assert torch.allclose(task.picture(image / 2, image), task.picture(image, image) / 2)
        assert torch.equal(task.picture(0 * image, 0 * image), torch.zeros(3, 12, 10))

    def test_a_mask_is_white_where_all_three_bands_are_sampled(self):
        mask = torch.zeros(6, 12, 10, dtype=torch.bool)
        mask[5, 3, 4] = mask[:, 7, 8] = True
        picture = SpectralCS(nn.Identity()).picture_of_mask(mask)
        assert picture[:, 3, 4].tolist() == [1, 0, 0]
        assert picture[:, 7, 8].tolist() == [1, 1, 1]
        assert picture.sum() == 4

    def test_curves_are_the_spectra_of_their_pixels(self):
        image = cube()
        curves = SpectralCS(nn.Identity()).curves(image)
        for (row, column), values in zip(curves.pixels, curves.values, strict=True):
            assert torch.equal(values, image[:, row, column])
        assert len(set(curves.pixels)) == 3

    def test_they_are_drawn_beside_those_of_the_target(self):
        image, task = cube(), SpectralCS(nn.Identity())
        psnr = task.metrics()["psnr"].function
        panel = make_panel("cube", (image, 0 * image, image / 2), None, task.picture, psnr, task.curves)
        *_, plot = figure_of_panels([panel]).axes
        assert plot.get_title() == "spectra, dashed: reference"
        drawn = [torch.from_numpy(np.asarray(line.get_ydata())) for line in plot.lines]
        assert torch.equal(torch.stack(drawn[::2]), panel.curves.values)
        assert torch.equal(torch.stack(drawn[1::2]), panel.target_curves.values)
        unknown = make_panel("cube", (None, 0 * image, image / 2), None, task.picture, psnr, task.curves)
        *_, plot = figure_of_panels([unknown]).axes
        assert (plot.get_title(), len(plot.lines)) == ("spectra", 3)

    def test_images_without_curves_have_no_column_of_them(self):
        image, task = torch.rand(3, 8, 8), ColorCS(nn.Identity())
        rows = [
            make_panel("image", (image,) * 3, None, task.picture, task.metrics()["psnr"].function, curves)
            for curves in (None, task.curves)
        ]
        assert len(figure_of_panels(rows).axes) == 2 * 4


def test_a_notebook_takes_more_than_three_bands_for_a_cube():
    sample = measure_cube(cube())
    assert quality(sample.target, sample).keys() == {"psnr", "sam", "ergas", "mse"}
    assert quality(0 * sample.target, sample)["sam"] == pytest.approx(90)
    assert show(sample.measurement, sample).axes[-1].get_title().startswith("spectra")


def test_whole_bands_can_be_completed_by_a_network_that_knows_the_others():
    sample = measure_cube(cube(), WholeBands(0.5))
    assert (sample.mask.float().mean((1, 2)).unique().tolist()) == [0, 1]
    task = SpectralCS(FeatureUnrolledNet(channels=6, features=4, iterations=1)).eval()
    reconstruction = task(type(sample).stack([sample]))
    assert torch.allclose(reconstruction[0][sample.mask], sample.measurement[sample.mask], atol=1e-5)


def test_what_makes_a_module_is_in_its_checkpoint():
    task = SpectralCS(ZeroFilled(), color_bands=(1, 2, 3), tile_size=8)
    assert {"color_bands": (1, 2, 3), "tile_size": 8, "self_ensemble": False}.items() <= dict(task.hparams).items()


@pytest.fixture
def folders(tmp_path):
    for number, split in enumerate(("train", "val", "test")):
        (tmp_path / split).mkdir()
        np.save(tmp_path / split / "scene.npy", 1000 * cube(5, 18, 16, seed=number).permute(1, 2, 0).numpy())
    return [f"--data.{split}_folder={tmp_path / split}" for split in ("train", "val", "test")]


WORDS = [
    *("--config", "spectral_cs/demo.yaml", "--data", "SpectralCubes", "--data.patch_size", "12"),
    *("--data.patches_per_cube", "4", "--data.batch_size", "2", "--data.pattern.ratio", "0.5"),
    *("--model.network.channels", "5", "--model.network.features", "4", "--model.network.iterations", "1"),
    *("--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu"),
    *("--model.color_bands", "[4,2,0]", "--report.untrained", "[LinearInterpolation]"),
]


@pytest.mark.slow(seconds=15)
def test_from_a_folder_of_cubes_to_a_prediction(command_line, folders, tmp_path, capsys):
    command_line("fit", *WORDS, *folders)
    command_line("test", *WORDS, *folders)
    printed = capsys.readouterr().out
    assert "SAM, °" in printed
    assert "ERGAS" in printed
    (metrics,) = Path("runs").rglob("test/metrics.csv")
    row, *_ = csv.DictReader(metrics.read_text().splitlines())
    assert float(row["sam"]) < float(row["zero_filled_sam"])
    mask = np.random.default_rng(0).random((18, 16, 5)) < 0.5
    np.save("mask.npy", mask)
    command_line("predict", *WORDS, "--data.predict_cubes", tmp_path / "test", "--data.predict_mask", "mask.npy")
    (written,) = Path("runs").rglob("scene.npy")
    predicted = np.moveaxis(np.load(written), 0, -1)
    original = np.load(tmp_path / "test/scene.npy")
    assert predicted.shape == original.shape
    np.testing.assert_allclose(predicted[mask], original[mask], rtol=0.2)
    with Image.open(written.with_suffix(".png")) as picture:
        assert picture.size == (16, 18)
    with Image.open(written.with_suffix(".panel.png")) as picture:
        assert picture.width > 2000


@pytest.mark.slow
def test_what_is_not_there_is_said_in_one_line(refused, tmp_path):
    message = refused("fit", *WORDS, "--data.train_folder", tmp_path / "none", "--data.val_folder", tmp_path)
    assert "there is no file or folder" in message
    (tmp_path / "scene.mat").write_bytes(b"MATLAB 5.0 MAT-file" * 20)
    words = ["predict", "--config", "spectral_cs/low_rank.yaml", "--data", "SpectralCubes"]
    message = refused(*words, "--data.predict_cubes", tmp_path / "scene.mat")
    assert "scene.mat: cannot be read as a cube" in message
    assert "\n" not in message.strip()
    assert "--data.predict_cubes" in refused(*words)
