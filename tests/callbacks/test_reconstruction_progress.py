"""Progress of long reconstructions, and the numbers beside a bar."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import CSVLogger
from rich.progress import Progress
from torch.utils.data import DataLoader

from datamodules.photographs.image_files import Images
from datamodules.photographs.masked_images import MaskedImages
from lowrank_unroll.callbacks import MetricsProgressBar, ReconstructionProgress, reconstruction_progress
from lowrank_unroll.modules import ColorCS
from lowrank_unroll.networks import NonLocalLowRankNet, NormalizedConvolution, TLRNet
from lowrank_unroll.sample import Sample


@pytest.fixture
def bars(monkeypatch):
    """Collect the completed and the total iterations of each bar when it is removed."""
    ended, remove = [], Progress.remove_task

    def remove_and_note(progress, task):
        ended.extend((bar.completed, bar.total) for bar in progress.tasks if bar.id == task)
        remove(progress, task)

    monkeypatch.setattr(Progress, "remove_task", remove_and_note)
    return ended


def predict(network, tmp_path, **settings):
    photos = Images([np.random.default_rng(0).integers(0, 256, (48, 40, 3), dtype=np.uint8)], ["holiday"])
    loader = DataLoader(MaskedImages(photos, 0.4, seed=0), batch_size=1, collate_fn=Sample.stack)
    trainer = Trainer(
        default_root_dir=tmp_path,
        accelerator="cpu",
        logger=False,
        callbacks=[ReconstructionProgress()],
        enable_model_summary=False,
    )
    return trainer.predict(ColorCS(network, **settings), loader)[0]


@pytest.mark.parametrize(
    ("network", "settings", "steps"),
    [
        (NonLocalLowRankNet(iterations=2, features=4), {}, 2),
        (TLRNet(iterations=3, features=2), {"tile_size": 16}, 3),
        (NormalizedConvolution(), {}, 1),
    ],
    ids=["iterations", "tiles", "neither"],
)
def test_a_long_reconstruction_is_announced_and_its_bar_is_full_at_the_end(
    network, settings, steps, bars, monkeypatch, tmp_path, capsys
):
    monkeypatch.setattr(reconstruction_progress, "SIDE", 16)
    monkeypatch.setattr(reconstruction_progress, "SMALLEST", 3 * 16**2)
    monkeypatch.setattr(reconstruction_progress, "SHORTEST_ANNOUNCED", 0)
    announced = predict(network, tmp_path, **settings)
    assert re.search(r"holiday, 40 x 48 pixels: about \d+ (seconds|minutes)", capsys.readouterr().out)
    ((completed, total),) = bars
    assert completed == total
    assert total % steps == 0
    assert not any(module._forward_hooks for module in network.modules())
    monkeypatch.undo()
    assert torch.equal(announced, predict(network, tmp_path, **settings))


def test_what_takes_no_time_is_not_announced(bars, tmp_path, capsys):
    predict(NormalizedConvolution(), tmp_path)
    assert "holiday" not in capsys.readouterr().out
    assert not bars


def test_the_bar_shows_numbers_of_any_size_and_no_version(tmp_path):
    bar, metrics = MetricsProgressBar(), {"train/loss": torch.tensor(1.2345e-4), "val/psnr": torch.tensor(-7.0912)}
    trainer = SimpleNamespace(loggers=[CSVLogger(tmp_path)], progress_bar_metrics=metrics)
    shown = {name: f"{value:{bar.theme.metrics_format}}" for name, value in bar.get_metrics(trainer, None).items()}
    assert shown == {"train/loss": "0.0001234", "val/psnr": "-7.091"}
