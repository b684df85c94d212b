"""The task of two images: its parts, its pictures, and what a user does from a folder of videos to a prediction."""

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from datamodules.videos.ultrasound import draw_ultrasound
from lowrank_unroll.metrics import psnr
from lowrank_unroll.modules import SSDU, ColorCS, DynamicMRI, LowRankPlusSparse
from lowrank_unroll.networks import CORONA, ZeroFilled
from lowrank_unroll.pictures import comparison
from lowrank_unroll.sample import Sample


def components(size=(6, 12, 10), seed=0):
    return torch.stack(draw_ultrasound(size, 2, 20.0, torch.Generator().manual_seed(seed)))


def sample(target, ratio=1.0):
    measurement = target.sum(0)
    mask = torch.rand(measurement.shape) < ratio
    one = Sample(measurement * mask, target, mask, None, torch.tensor(3.0), "series", "synthetic")
    return Sample.stack([one])


class TestComponents:
    def test_the_operator_maps_targets_to_measurements(self):
        batch = sample(components(), ratio=0.5)
        assert torch.equal(LowRankPlusSparse(ZeroFilled()).operator(batch)(batch.target), batch.measurement)

    def test_metrics_are_of_their_component(self):
        target = components()[None]
        image = target + torch.tensor([0.1, 0.001])[:, None, None, None]
        values = {}
        for name, metric in LowRankPlusSparse(ZeroFilled()).metrics().items():
            metric.update(image, target)
            values[name] = float(metric.compute())
        assert values["psnr"] == pytest.approx(psnr(image[:, 1], target[:, 1]).item())
        assert values["background_psnr"] == pytest.approx(psnr(image[:, 0], target[:, 0]).item())
        assert 0.9 < values["f1"] <= 1

    def test_other_tasks_have_one_without_a_name(self):
        image = torch.rand(3, 4, 5)
        for task in (ColorCS(nn.Identity()), DynamicMRI(nn.Identity())):
            assert task.split(image) == {"": image}
            assert torch.equal(task.pictures(image, image), task.picture(image, image))

    def test_real_and_complex_series_are_series(self):
        assert LowRankPlusSparse(ZeroFilled()).is_series(torch.ones(2, 3, 4, 5))
        assert not ColorCS(nn.Identity()).is_series(torch.ones(3, 4, 5))

    def test_predictions_are_in_the_unit_of_the_data(self):
        batch = sample(components())
        predicted = LowRankPlusSparse(ZeroFilled()).predict_step(batch, 0)
        assert torch.allclose(predicted, 3 * batch.measurement[:, None].expand_as(predicted))

    def test_held_out_pixels_are_predicted_by_the_sum(self):
        batch, task = sample(components()), LowRankPlusSparse(CORONA(iterations=1), self_supervision=SSDU(center=0))
        perfect = lambda seen: (batch.target, 0.0)  # noqa: E731
        loss, _ = task.supervision.objective(task, perfect, batch._replace(target=None), "train", 0)
        assert loss < 1e-5
        loss, _ = task.supervision.objective(task, task.reconstruct, batch._replace(target=None), "train", 0)
        loss.backward()
        assert all(weight.grad.isfinite().all() for weight in task.parameters())


class TestPictures:
    def test_both_components_and_the_mask_are_below_each_other(self):
        target = components()
        picture = LowRankPlusSparse(ZeroFilled()).pictures(target, target)
        assert picture.shape == (3, 3 * 12, 10)
        background, sparse, mask = picture.split(12, dim=1)
        for shown, component in ((background, target[0]), (sparse, target[1])):
            assert torch.allclose(shown[0], component[3].abs() / component.abs().max())
        assert torch.equal(mask[0] == 1, sparse[0] > 0.2)
        assert set(mask.unique().tolist()) <= {0, 1}

    def test_a_mask_of_all_pixels_is_not_drawn(self):
        task, mask = LowRankPlusSparse(ZeroFilled()), torch.ones(3, 4, 5, dtype=torch.bool)
        assert task.picture_of_mask(mask) is None
        mask[1, 2, 3] = False
        assert task.picture_of_mask(mask).sum() == 3 * (4 * 5 - 1)

    def test_movies_have_a_row_for_each_component(self):
        target = components()
        frames, titles = comparison(target, 0 * target, target)
        rows = [comparison(one, 0 * one, one) for one in target]
        assert np.array_equal(frames, np.concatenate([of_row for of_row, _ in rows], axis=1))
        assert titles == rows[0][1]
        assert comparison(None, target, target)[0].shape == (6, 24, 20)


@pytest.fixture
def folders(tmp_path):
    for number, split in enumerate(("train", "val", "test")):
        (tmp_path / split).mkdir()
        np.save(tmp_path / split / "scan.npy", 50 * components(seed=number).numpy())
    return [f"--data.{split}_folder={tmp_path / split}" for split in ("train", "val", "test")]


WORDS = [
    *("--config", "low_rank_plus_sparse/demo.yaml", "--data", "VideoFolder", "--data.crop", "[8,8]"),
    *("--data.crops_per_video", "4", "--data.batch_size", "2", "--model.network.iterations", "2"),
    *("--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu"),
    *("--report.untrained", "[PrincipalComponentPursuit]"),
]


@pytest.mark.slow(seconds=20)
def test_from_a_folder_of_videos_to_a_prediction(command_line, folders, tmp_path, capsys):
    command_line("fit", *WORDS, *folders)
    assert next(Path("runs").rglob("pictures/*.gif")).stat().st_size
    command_line("test", *WORDS, *folders)
    (metrics,) = Path("runs").rglob("test/metrics.csv")
    row, *_ = csv.DictReader(metrics.read_text().splitlines())
    assert {"psnr", "f1", "background_psnr", "PrincipalComponentPursuit_psnr"} <= row.keys()
    report = (metrics.parent / "report.html").read_text()
    assert "<th>PSNR of the sparse part, dB</th>" in report
    frames = tmp_path / "cars"
    frames.mkdir()
    for number in range(6):
        Image.fromarray(np.full((12, 10, 3), 40 * number, np.uint8)).save(frames / f"{number}.png")
    command_line("predict", *WORDS, "--data.predict_folder", tmp_path / "test", "--prediction.series_formats", "[h5]")
    assert "scan: PSNR of the sparse part" in capsys.readouterr().out
    parts = [next(Path("runs").rglob(f"scan_{name}.h5")) for name in ("background", "sparse")]
    values = []
    for part in parts:
        with h5py.File(part) as file:
            assert file["series"].attrs["name"] == part.stem
            values.append(file["series"][()])
    assert values[0].shape == (6, 12, 10)
    assert values[0].dtype == np.complex64
    command_line("predict", *WORDS, "--data.predict_folder", frames, "--prediction.series_formats", "[h5,gif,png]")
    for name in ("background", "sparse"):
        for suffix in ("h5", "gif", "png"):
            (written,) = Path("runs").rglob(f"cars_{name}.{suffix}")
    with h5py.File(written.with_suffix(".h5")) as file:
        assert file["series"].dtype == np.float32


@pytest.mark.slow
def test_what_is_not_there_is_said_in_one_line(refused, tmp_path):
    assert "--data.predict_folder" in refused("predict", "--config", "low_rank_plus_sparse/robust_pca.yaml")
    words = ["--config", "low_rank_plus_sparse/robust_pca.yaml", "--data", "VideoFolder"]
    assert "there is no file or folder" in refused("predict", *words, "--data.predict_folder", tmp_path / "none")
    assert "--data.test_folder" in refused("test", *words)
    message = refused("test", "--config", "low_rank_plus_sparse/robust_pca.yaml", "--model.network", "NuclearNormRecon")
    assert "LowRankPlusSparse is for images (component, time, height, width), but NuclearNormRecon" in message
