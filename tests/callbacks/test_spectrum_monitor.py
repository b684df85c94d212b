import csv
import math
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import pytest
import torch
from conftest import TINY, TINY_DYNAMIC
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from lightning.pytorch.loggers.logger import DummyExperiment
from skimage import io
from torch import nn
from torch.utils.data import DataLoader

from datamodules.photographs.image_files import Images
from datamodules.photographs.masked_images import MaskedImages
from lowrank_unroll.callbacks import SpectrumMonitor
from lowrank_unroll.errors import DIVERGED
from lowrank_unroll.linalg import effective_rank
from lowrank_unroll.modules import ColorCS
from lowrank_unroll.networks import LplusSNet, SLRNet, T2LRNet, TLRNet
from lowrank_unroll.operators import Mask
from lowrank_unroll.prox import Casorati, LowRankProx
from lowrank_unroll.reports.spectrum_record import SpectrumRow, sampled_singular_values, spectrum_row
from lowrank_unroll.sample import Sample

MONITOR = ["--trainer.callbacks+=SpectrumMonitor", "--trainer.callbacks.every_n_steps", "1"]
DEMO = ["--config", "color_cs/demo.yaml", *TINY]
DYNAMIC = ["--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC]
RUNS = Path("runs/color_cs_demo")
COLUMNS = [
    "step", "iteration", "threshold", "effective_rank_before", "effective_rank_after", "rank_after", "smallest_gap",
    "ties",
]  # fmt: skip


def table(run):
    with (Path(run) / "spectrum.csv").open() as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def steps_and_iterations(rows):
    return [(int(row["step"]), int(row["iteration"])) for row in rows]


def weights(run):
    (path,) = Path(run).rglob("last.ckpt")
    return torch.load(path, weights_only=True)["state_dict"]


def fitted(monitor, network, pixels=None, **options):
    """Train a network on two batches of two images of 8 x 8 pixels."""
    pixels = torch.randint(0, 256, (4, 8, 8, 3), dtype=torch.uint8) if pixels is None else pixels
    images = Images([image.numpy() for image in pixels], [str(index) for index in range(4)])
    loader = DataLoader(MaskedImages(images, 0.5, seed=0), batch_size=2, collate_fn=Sample.stack)
    trainer = L.Trainer(
        accelerator="cpu", enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        limit_val_batches=0, callbacks=[monitor], **{"max_epochs": 1, "logger": False} | options,
    )  # fmt: skip
    trainer.fit(ColorCS(network), loader, loader)
    return monitor.state_dict()["rows"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64])
def test_a_known_spectrum_is_measured(dtype):
    U, V = (
        torch.linalg.qr(torch.randn(3, side, 4, dtype=torch.promote_types(dtype, torch.float64))).Q for side in (6, 4)
    )
    S = torch.tensor([8.0, 4.0, 2.0, 1.5], dtype=torch.float64)
    row = spectrum_row(7, 2, torch.tensor([0.2]), sampled_singular_values(((U * S) @ V.mH).to(dtype), 16))
    assert row[:3] == pytest.approx((7, 2, 0.2))
    assert row.effective_rank_before == pytest.approx(float(effective_rank(S)), rel=1e-5)
    assert row.effective_rank_after == pytest.approx(float(effective_rank((S - 1.6).relu())), rel=1e-5)
    assert row.rank_after == 3
    assert row.smallest_gap == pytest.approx(0.5 / 8, rel=1e-5)
    assert row.ties == 0


@pytest.mark.parametrize(
    ("matrix", "rank", "ties"),
    [
        (torch.eye(5), 5, 1),
        (torch.zeros(5, 3), 0, 1),
        (torch.full((5, 4), 0.3), 1, 2 / 3),
        (torch.randn(6, 1) @ torch.randn(1, 4), 1, 2 / 3),
    ],
    ids=["identity", "zero", "constant", "rank one"],
)
def test_measures_of_special_matrices(matrix, rank, ties):
    row = spectrum_row(0, 0, torch.tensor([0.1]), sampled_singular_values(matrix, 16))
    assert row[3:] == pytest.approx((rank, rank, rank, 0, ties), abs=1e-4)


def test_matrices_of_a_single_row_have_no_gaps():
    row = spectrum_row(0, 0, torch.tensor([0.1]), sampled_singular_values(torch.randn(2, 1, 9), 16))
    assert math.isnan(row.smallest_gap)
    assert math.isnan(row.ties)


def test_decomposed_matrices_are_spread_over_batch_and_channels():
    sizes = torch.arange(1.0, 25).reshape(8, 3, 1, 1)
    assert sampled_singular_values(sizes * torch.eye(4), 4)[:, 0].tolist() == pytest.approx([1, 9, 16, 24])
    assert sampled_singular_values(sizes * torch.eye(4), 100).shape == (24, 4)


@pytest.mark.slow
def test_the_table_is_as_documented(command_line, capsys):
    command_line("fit", *DEMO, *MONITOR)
    assert "spectrum.csv, spectrum.png" in capsys.readouterr().out
    rows = table(RUNS / "version_0")
    assert list(rows[0]) == list(SpectrumRow._fields) == COLUMNS
    assert steps_and_iterations(rows) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert all(row["threshold"] == pytest.approx(0.1192, abs=1e-4) for row in rows[:2])
    assert rows[2]["threshold"] != rows[0]["threshold"]
    assert all(1 <= row["effective_rank_after"] <= row["effective_rank_before"] <= 16 for row in rows)
    assert all(0 <= row["smallest_gap"] <= 1 and 0 <= row["ties"] <= 1 for row in rows)
    assert io.imread(RUNS / "version_0/spectrum.png").ndim == 3
    assert "spectrum" not in (RUNS / "version_0/metrics.csv").read_text()


@pytest.mark.usefixtures("empty_figures")
def test_every_n_steps(command_line):
    command_line(
        "fit", *DEMO, *MONITOR[:1], "--trainer.callbacks.every_n_steps", "2", "--trainer.limit_train_batches", "5"
    )
    assert [step for step, iteration in steps_and_iterations(table(RUNS / "version_0")) if iteration == 0] == [0, 2, 4]


@pytest.mark.slow
@pytest.mark.parametrize("words", [DEMO, DYNAMIC], ids=["colour", "dynamic"])
@pytest.mark.usefixtures("empty_figures")
def test_training_is_not_changed_by_a_bit(words, command_line):
    command_line("fit", *words, "--trainer.default_root_dir", "with", "--trainer.logger", "false", *MONITOR)
    command_line("fit", *words, "--trainer.default_root_dir", "without", "--trainer.logger", "false")
    ours, theirs = weights("with"), weights("without")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert len(table("with")) == 4


@pytest.mark.slow
@pytest.mark.usefixtures("empty_figures")
def test_resuming_goes_on_recording(command_line):
    command_line("fit", *DEMO, *MONITOR, "--trainer.max_epochs", "2")
    command_line("fit", *DEMO, *MONITOR)
    command_line("fit", *DEMO, *MONITOR, "--trainer.max_epochs", "2", "--ckpt_path", "last")
    assert len(table(RUNS / "version_1")) == 4
    assert len(table(RUNS / "version_2")) == 8
    assert table(RUNS / "version_2") == table(RUNS / "version_0")
    assert (RUNS / "version_2/spectrum.png").exists()


@pytest.mark.usefixtures("empty_figures")
def test_a_training_that_fails_leaves_its_spectra(refused):
    plain = ["--model.network.init_args.gradient", "plain", "--data", "ImageFolder", "--data.train_folder", "black"]
    Path("black").mkdir()
    for name in "ab":
        io.imsave(f"black/{name}.png", torch.zeros(16, 16, 3, dtype=torch.uint8).numpy(), check_contrast=False)
    told = refused("fit", *DEMO, *MONITOR, *plain, "--data.val_folder", "black", codes=(DIVERGED,))
    assert told.startswith("The gradient is not finite at epoch 0")
    rows = table(RUNS / "version_0")
    assert [row["ties"] for row in rows] == [1, 1]
    assert [row["effective_rank_before"] for row in rows] == [0, 0]
    assert (RUNS / "version_0/spectrum.png").exists()


@pytest.mark.parametrize("gradient", ["exact", "plain", "pinv"])
def test_every_gradient_is_recorded(gradient, tmp_path):
    rows = fitted(SpectrumMonitor(1), TLRNet(iterations=3, features=4, gradient=gradient), default_root_dir=tmp_path)
    assert [tuple(row[:2]) for row in rows] == [(step, iteration) for step in (0, 1) for iteration in range(3)]


@pytest.mark.parametrize("network", [LplusSNet, SLRNet, T2LRNet])
def test_every_low_rank_step_of_series_is_recorded_in_order(network, tmp_path):
    network = network(iterations=3, features=4)
    for index, iteration in enumerate(network.iterations):
        nn.init.constant_(iteration.prox.threshold_logit, -index)
    monitor, trainer = SpectrumMonitor(), stub_trainer(tmp_path)
    module = nn.ModuleDict({"network": network})
    monitor.on_train_start(trainer, module)
    monitor.on_train_batch_start(trainer, module, None, 0)
    network(torch.randn(2, 4, 8, 8, dtype=torch.complex64), Mask(torch.ones(2, 4, 8, 8, dtype=torch.bool)))
    monitor.on_train_batch_end(trainer, module)
    rows = [SpectrumRow(*row) for row in monitor.state_dict()["rows"]]
    steps = 2 if isinstance(network, SLRNet) else 3  # nothing would use the last low-rank step of SLR-Net
    assert [row.iteration for row in rows] == list(range(steps))
    assert [row.threshold for row in rows] == pytest.approx([1 / (1 + math.exp(index)) for index in range(steps)])
    largest = 4 if isinstance(network.iterations[0].prox.matricization, Casorati) else 8
    assert all(1 <= row.effective_rank_before <= largest for row in rows)
    assert {S.shape for S in monitor.state_dict()["last"]} == {(2 if largest == 4 else 8, largest)}


def stub_trainer(folder, loggers=(), *, is_global_zero=True):
    return SimpleNamespace(
        log_dir=str(folder), default_root_dir=".", is_global_zero=is_global_zero, global_step=0, loggers=list(loggers)
    )


def hooks(network):
    return sum(len(module._forward_hooks) for module in network.modules())


def test_hooks_are_there_only_while_a_recorded_batch_is_reconstructed(tmp_path, monkeypatch):
    counts = []
    step = ColorCS.training_step
    monkeypatch.setattr(
        ColorCS, "training_step", lambda self, *words: (counts.append(hooks(self.network)), step(self, *words))[1]
    )
    backward = ColorCS.backward
    monkeypatch.setattr(
        ColorCS, "backward", lambda self, *words: (counts.append(hooks(self.network)), backward(self, *words))[1]
    )
    network = TLRNet(iterations=3, features=4)
    fitted(SpectrumMonitor(2), network, default_root_dir=tmp_path)
    assert counts == [3, 0, 0, 0]
    assert hooks(network) == 0


def test_accumulated_batches_are_recorded_once_a_step(tmp_path):
    rows = fitted(
        SpectrumMonitor(1), TLRNet(iterations=1, features=4), accumulate_grad_batches=2, max_epochs=2,
        default_root_dir=tmp_path,
    )  # fmt: skip
    assert [row[0] for row in rows] == [0, 1]


@pytest.mark.slow
def test_another_training_starts_anew(tmp_path):
    monitor = SpectrumMonitor(1)
    for _ in range(2):
        rows = fitted(monitor, TLRNet(iterations=1, features=4), default_root_dir=tmp_path)
        assert [row[0] for row in rows] == [0, 1]


def test_iterations_that_share_their_weights_are_told_apart(tmp_path):
    network = TLRNet(iterations=1, features=4)
    network.iterations.append(network.iterations[0])
    rows = fitted(SpectrumMonitor(1), network, default_root_dir=tmp_path, limit_train_batches=1)
    assert [row[1] for row in rows] == [0, 1]


def test_a_network_without_low_rank_steps_is_left_alone(tmp_path):
    class Convolution(nn.Module):
        def __init__(self):
            super().__init__()
            self.convolution = nn.Conv2d(3, 3, 3, padding=1)

        def forward(self, measurement, operator):
            return self.convolution(operator.adjoint(measurement))

    assert fitted(SpectrumMonitor(1), Convolution(), default_root_dir=tmp_path) == []
    assert list(tmp_path.iterdir()) == []


def test_only_the_first_process_records(tmp_path):
    monitor, trainer = SpectrumMonitor(), stub_trainer(tmp_path, is_global_zero=False)
    module = nn.ModuleDict({"network": TLRNet(iterations=1)})
    monitor.on_train_start(trainer, module)
    monitor.on_train_batch_start(trainer, module, None, 0)
    assert hooks(module) == 0
    monitor.on_train_end(trainer, module)
    assert list(tmp_path.iterdir()) == []


def test_loggers_get_numbers_and_histograms(tmp_path, monkeypatch):
    logged, histograms = {}, {}
    run = SimpleNamespace(log=logged.update)
    board = DummyExperiment()
    monkeypatch.setattr(WandbLogger, "experiment", run)
    monkeypatch.setattr(TensorBoardLogger, "experiment", board)
    monkeypatch.setattr(TensorBoardLogger, "log_metrics", lambda self, metrics, step: histograms.update(metrics))
    board.add_histogram = lambda name, values, step: histograms.update({name: values})
    loggers = [object.__new__(WandbLogger), object.__new__(TensorBoardLogger)]
    loggers[0]._prefix, loggers[0]._wandb_init = "", {}
    monitor, trainer = SpectrumMonitor(), stub_trainer(tmp_path, loggers)
    module = nn.ModuleDict({"network": nn.Sequential(LowRankProx(), LowRankProx())})
    monitor.on_train_start(trainer, module)
    monitor.on_train_batch_start(trainer, module, None, 0)
    module["network"](torch.eye(4).expand(2, 4, 4))
    monitor.on_train_batch_end(trainer, module)
    measures = COLUMNS[2:]
    names = {f"spectrum/{name}/{iteration}" for name in (*measures, "log10_singular_values") for iteration in (0, 1)}
    assert logged.keys() == names | {"trainer/global_step"}
    assert histograms.keys() == names
    assert logged["spectrum/ties/0"] == histograms["spectrum/ties/0"] == 1
    assert logged["spectrum/log10_singular_values/1"].histogram[-1] == 8
    assert histograms["spectrum/log10_singular_values/1"].tolist() == pytest.approx([0] * 8, abs=1e-6)


@pytest.mark.parametrize("name", ["every_n_steps", "matrices"])
def test_senseless_arguments_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0, expected at least 1"):
        SpectrumMonitor(**{name: 0})
