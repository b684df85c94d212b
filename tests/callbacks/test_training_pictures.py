"""Pictures of validation samples, shown while a network is trained."""

import csv
from io import BytesIO
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from conftest import TINY, TINY_DYNAMIC
from PIL import Image, ImageChops
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader

from lowrank_unroll import pictures
from lowrank_unroll.callbacks import TrainingPictures
from lowrank_unroll.modules import ColorCS, DynamicMRI
from lowrank_unroll.networks import LplusSNet, TLRNet
from lowrank_unroll.operators import Fourier
from lowrank_unroll.pictures import comparison, draw_panels, make_panel
from lowrank_unroll.sample import Sample

COLOUR = ["--config", "color_cs/demo.yaml", *TINY, "--pictures.samples", "2"]
DYNAMIC = ["--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC, "--pictures.samples", "2"]


def colour_samples(count):
    masks, targets = torch.rand(count, 3, 16, 16) < 0.4, torch.rand(count, 3, 16, 16)
    return [
        Sample(target * mask, target, mask, None, torch.tensor(1.0), f"image {index}", "synthetic")
        for index, (mask, target) in enumerate(zip(masks, targets, strict=True))
    ]


def series_samples(count):
    targets = torch.randn(count, 4, 16, 12, dtype=torch.complex64)
    masks = torch.rand(count, 1, 4, 16, 12) < 0.4
    measurements = Fourier()(targets[:, None]) * masks
    return [
        Sample(kspace, target, mask, None, torch.tensor(1.0), f"series {index}", "synthetic")
        for index, (kspace, target, mask) in enumerate(zip(measurements, targets, masks, strict=True))
    ]


TASKS = {
    "colour": (lambda: ColorCS(TLRNet(iterations=2, features=4)), colour_samples),
    "dynamic": (lambda: DynamicMRI(LplusSNet(iterations=2, features=4)), series_samples),
}


def train(task, folder, *callbacks, batch_size=3, **kwargs):
    """Two epochs on five samples; the module with its weights."""
    torch.manual_seed(0)
    build, samples = TASKS[task]
    module, loader = build(), DataLoader(samples(5), batch_size=batch_size, collate_fn=Sample.stack)
    options = {"max_epochs": 2, "logger": False, "enable_checkpointing": False, **kwargs}
    trainer = L.Trainer(
        accelerator="cpu", default_root_dir=folder, enable_progress_bar=False, enable_model_summary=False,
        callbacks=list(callbacks), **options,
    )  # fmt: skip
    trainer.fit(module, loader, loader)
    return module


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_training_is_the_same_with_and_without(task, tmp_path):
    states = []
    for callbacks in [(), (TrainingPictures(),)]:
        states.append(train(task, tmp_path, *callbacks).state_dict())
        states[-1]["next random number"] = torch.rand(())
    assert (tmp_path / "pictures/epoch0001.png").exists()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], value) for name, value in states[1].items())


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_no_sample_is_reconstructed_twice_and_the_first_are_shown(batch_size, tmp_path, monkeypatch):
    calls, shown = [], []
    monkeypatch.setattr(TLRNet, "initial_state", counted(TLRNet.initial_state, calls))
    monkeypatch.setattr(
        "lowrank_unroll.callbacks.training_pictures.draw_panels", lambda panels: shown.append(panels) or b""
    )
    train("colour", tmp_path, TrainingPictures(samples=3), batch_size=batch_size)
    batches = -(-5 // batch_size)
    assert len(calls) == min(2, batches) + 2 * 2 * batches  # the sanity check; training and validation of two epochs
    torch.manual_seed(0)
    module, samples = TASKS["colour"][0](), TASKS["colour"][1](5)
    for panels in shown:
        assert [panel.name for panel in panels] == ["image 0", "image 1", "image 2"]
        for panel, sample in zip(panels, samples, strict=False):
            assert torch.equal(panel.target, sample.target)
            assert torch.equal(panel.mask, sample.mask.float())
            assert torch.equal(panel.zero_filled, sample.target * sample.mask)
            error = (panel.reconstruction - panel.target).square().mean()
            assert panel.reconstruction_psnr == pytest.approx(float(10 * (panel.target.max() ** 2 / error).log10()))
            assert not torch.equal(panel.reconstruction, module.eval()(Sample.stack([sample]))[0])  # trained since


def counted(function, calls):
    def call(*words):
        calls.append(words)
        return function(*words)

    return call


@pytest.mark.slow
def test_pictures_of_every_second_validation(tmp_path):
    train("colour", tmp_path, TrainingPictures(every_n_validations=2), max_epochs=4)
    assert sorted(file.name for file in (tmp_path / "pictures").iterdir()) == ["epoch0000.png", "epoch0002.png"]


@pytest.mark.parametrize("nothing", [{"samples": 0}, {"fast_dev_run": True}])
def test_there_may_be_no_pictures(nothing, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train("dynamic", tmp_path, TrainingPictures(samples=nothing.pop("samples", 2)), **nothing)
    assert not (tmp_path / "pictures").exists()


@pytest.mark.parametrize(("name", "value"), [("samples", -1), ("every_n_validations", 0)])
def test_arguments_are_checked(name, value):
    with pytest.raises(ValueError, match=f"{name} is {value}, expected"):
        TrainingPictures(**{name: value})


@pytest.mark.slow
def test_files_of_a_colour_training(command_line):
    command_line("fit", *COLOUR, "--trainer.max_epochs", "2", "--pictures.samples", "1")
    folder = Path("runs/color_cs_demo/version_0/pictures")
    assert sorted(file.name for file in folder.iterdir()) == ["epoch0000.png", "epoch0001.png"]
    first, second = (Image.open(folder / f"epoch000{epoch}.png").convert("RGB") for epoch in (0, 1))
    assert first.size == second.size
    left, _, right, _ = ImageChops.difference(first, second).getbbox()
    # Reference and zero-filled, the first two of five columns, are the same; so is the mask, the last.
    assert 2 * first.width / 5 <= left < right <= 4 * first.width / 5
    command_line("validate", *COLOUR)
    assert not Path("runs/color_cs_demo/version_1/pictures").exists()


def test_files_of_a_dynamic_training(command_line):
    command_line("fit", *DYNAMIC)
    folder = Path("runs/dynamic_mri_demo/version_0/pictures")
    assert sorted(file.name for file in folder.iterdir()) == ["epoch0000.gif", "epoch0000.png"]
    with Image.open(folder / "epoch0000.gif") as cine:
        assert cine.n_frames == 3
        assert cine.width == 4 * 20 * 9  # four series side by side, enlarged


@pytest.mark.slow
def test_tensorboard_shows_picture_and_cine(command_line):
    command_line("fit", *DYNAMIC, "--config", "logger/tensorboard.yaml")
    (events,) = Path("runs/tensorboard").rglob("events.*")
    log = EventAccumulator(str(events)).Reload()
    (picture,), (cine,) = log.Images("val/pictures"), log.Images("val/cine")
    assert picture.step == cine.step == 2
    assert Image.open(BytesIO(picture.encoded_image_string)).size == (picture.width, picture.height)
    animation = Image.open(BytesIO(cine.encoded_image_string))
    assert (animation.format, animation.n_frames, animation.size) == ("GIF", 3, (cine.width, cine.height))
    with next(Path("runs/dynamic_mri_demo").rglob("metrics.csv")).open() as file:
        logged = [row["val/psnr"] for row in csv.DictReader(file) if row["val/psnr"]]
    np.testing.assert_allclose([event.value for event in log.Scalars("val/psnr")], np.float64(logged), rtol=1e-6)
    assert not list(Path("runs").rglob("pictures"))


def panel(module, name, images, mask):
    return make_panel(name, images, module.picture_of_mask(mask), module.picture, module.metrics()["psnr"].function)


def test_a_module_in_the_place_of_its_functions_is_deprecated():
    (sample,) = colour_samples(1)
    module, images = ColorCS(TLRNet(iterations=1, features=2)), (sample.target,) * 3
    with pytest.deprecated_call(match="make_panel"):
        made = pictures.panel_of(module, "image", images, sample.mask)
    assert torch.equal(made.target, panel(module, "image", images, sample.mask).target)
    with pytest.deprecated_call(match="defined_values"):
        assert pictures.defined_psnr(module, sample.target, torch.zeros(3, 16, 16)) is None


def test_a_task_without_a_mask_has_no_column_for_it():
    (sample,) = colour_samples(1)
    module = ColorCS(TLRNet(iterations=1, features=2))
    with_mask = panel(module, "image", (sample.target,) * 3, sample.mask)
    wide, narrow = (
        Image.open(BytesIO(draw_panels([panel]))).width for panel in (with_mask, with_mask._replace(mask=None))
    )
    assert narrow * 5 == wide * 4


def test_the_mask_of_a_series_is_that_of_the_frame_beside_it():
    (sample,) = series_samples(1)
    made = panel(DynamicMRI(LplusSNet(iterations=1)), "series", (sample.target,) * 3, sample.mask)
    assert made.mask.shape == made.target.shape
    assert torch.equal(made.mask[0, :16], sample.mask[0, 2].float())
    assert torch.equal(made.mask[0, -8::2], sample.mask[0, :, 8].float())
    torch.testing.assert_close(made.target[0, :16], sample.target[2].abs() / sample.target.abs().max())


def test_without_a_target_the_reconstruction_is_what_is_white():
    reconstruction, zero_filled = torch.rand(3, 8, 8) + 0j, 0.2 * torch.rand(3, 8, 8) + 0j
    frames, titles = comparison(None, zero_filled, reconstruction)
    assert titles == ("zero-filled", "reconstruction")
    assert frames.shape == (3, 8, 16)
    brightest = (reconstruction.abs() / reconstruction.abs().max() * 255).round()
    assert np.array_equal(frames[..., 8:], brightest.numpy().astype(np.uint8))


def test_without_a_target_there_is_neither_reference_nor_error():
    (sample,) = series_samples(1)
    module = DynamicMRI(LplusSNet(iterations=1))
    whole, rest = (
        panel(module, "series", (target, sample.target, sample.target), sample.mask) for target in (sample.target, None)
    )
    wide, narrow = (Image.open(BytesIO(draw_panels([panel]))).width for panel in (whole, rest))
    assert narrow * 5 == wide * 3
