import csv
import re
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import yaml
from conftest import TINY, TINY_DYNAMIC, UNTRAINED, same, save_empty_figures, tiny
from PIL import Image
from skimage import data, io

from lowrank_unroll.__main__ import main
from lowrank_unroll.command_line.configs import config_folder, config_names
from lowrank_unroll.modules import ColorCS, DynamicMRI

DEMO = ["--config", "color_cs/demo.yaml", *TINY]
EXPERIMENTS = [name for name in config_names() if not name.startswith(("logger/", "pattern/", "trainer/"))]
# Tested with local files in test_cifar100.py, test_ocmr.py, test_raw_scans.py and test_carbon13.py.
NEED_A_DOWNLOAD = {
    *("color_cs/cifar100.yaml", "dynamic_mri/carbon13.yaml"),
    *("dynamic_mri/ocmr.yaml", "dynamic_mri/ocmr_selfsupervised.yaml"),
}
TRAINED = [name for name in EXPERIMENTS if name not in NEED_A_DOWNLOAD]
RUNS = Path("runs/color_cs_demo")
CHECKOUT = Path(__file__).parents[2]


def checkpoint(version, name):
    return torch.load(RUNS / f"version_{version}/checkpoints/{name}.ckpt", weights_only=True)


def read_series(path):
    with h5py.File(path) as file:
        return file["series"][:], dict(file["series"].attrs)


@pytest.fixture(scope="module")
def runs_of_the_demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["lowrank-unroll", "fit", *DEMO])
        save_empty_figures(patch)
        main()
    return folder / "runs"


@pytest.fixture
def demo_is_trained(runs_of_the_demo, tmp_path):
    """The folder of `command_line` holds a run of the demo, version_0. Not to be resumed: that removes files."""
    shutil.copytree(runs_of_the_demo, tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in config_names() if name not in TRAINED])
def test_every_other_config_is_parsed(name, command_line, capsys):
    demo = "dynamic_mri/demo.yaml" if name.startswith("pattern/") else "color_cs/demo.yaml"
    base = [] if name in EXPERIMENTS else ["--config", demo]
    with pytest.raises(SystemExit) as stop:
        command_line("fit", *base, "--config", name, "--print_config")
    assert stop.value.code in {0, None}
    printed, ours = yaml.safe_load(capsys.readouterr().out), yaml.safe_load((config_folder() / name).read_text())
    if "model" in ours and name in EXPERIMENTS:
        assert printed["model"]["class_path"].endswith(ours["model"]["class_path"])
    elif "model" in ours:
        assert printed["model"]["init_args"].items() >= ours["model"]["init_args"].items()
    if name.startswith("pattern/"):
        pattern, expected = (config["data"]["init_args"]["pattern"] for config in (printed, ours))
        assert pattern["class_path"].endswith(expected["class_path"])
        assert pattern["init_args"].items() >= expected["init_args"].items()


@pytest.mark.parametrize(
    "name", [name if name in UNTRAINED else pytest.param(name, marks=pytest.mark.slow) for name in TRAINED]
)
@pytest.mark.usefixtures("empty_figures")
def test_every_experiment_trains_and_tests(name, command_line):
    if name not in UNTRAINED:
        command_line("fit", "--config", name, *tiny(name))
        (best,) = Path("runs").rglob("best.ckpt")
        assert torch.load(best, weights_only=True)["global_step"] in {1, 2}  # batches, of which a short epoch has one
    command_line("test", "--config", name, *tiny(name))
    (table,) = Path("runs").rglob("test/metrics.csv")
    used, ours = (
        yaml.safe_load(path.read_text()) for path in (table.parents[1] / "config.yaml", config_folder() / name)
    )
    assert used["model"]["class_path"].rpartition(".")[2] == ours["model"]["class_path"].rpartition(".")[2]


@pytest.mark.usefixtures("empty_figures", "demo_is_trained")
def test_report_of_several_images(command_line):
    command_line("test", *DEMO, "--trainer.limit_test_batches", "2")
    with (RUNS / "version_1/test/metrics.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [row.pop("origin") for row in table] == ["semi-synthetic"] * 2 + [""] * 2
    rows = {row.pop("image"): {name: float(value) for name, value in row.items()} for row in table}
    assert list(rows) == ["cat", "coffee", "mean", "std"]
    for metric in rows["mean"]:
        values = [rows[image][metric] for image in ("cat", "coffee")]
        np.testing.assert_allclose(rows["mean"][metric], np.mean(values))
        np.testing.assert_allclose(rows["std"][metric], np.std(values, ddof=1))
    with (RUNS / "version_1/metrics.csv").open() as file:
        (logged,) = csv.DictReader(file)
    np.testing.assert_allclose(float(logged["test/psnr"]), rows["mean"]["psnr"], rtol=1e-6)


@pytest.mark.usefixtures("empty_figures")
def test_untrained_methods_are_tested_on_the_same_samples(command_line, capsys):
    words = ["--config", "dynamic_mri/nuclear_norm.yaml", *tiny("dynamic_mri/nuclear_norm.yaml")]
    same_method = "{class_path: NuclearNormRecon, init_args: {iterations: 2, threshold: 0.01}}"
    methods = ["--report.untrained", f"[ZeroFilled, {same_method}]"]
    command_line("test", *words, *methods, "--model.network.init_args.threshold", "0.01")
    assert "NuclearNormRecon" in capsys.readouterr().out
    (table,) = Path("runs").rglob("test/metrics.csv")
    with table.open() as file:
        row, *_ = csv.DictReader(file)
    # The same method on the same measurement, and what every table has anyway.
    assert float(row["NuclearNormRecon_psnr"]) == float(row["psnr"])
    assert float(row["ZeroFilled_psnr"]) == float(row["zero_filled_psnr"])


@pytest.mark.parametrize(
    "name", ["color_cs/demo.yaml", pytest.param("dynamic_mri/lpsnet.yaml", marks=pytest.mark.slow)]
)
@pytest.mark.usefixtures("empty_figures")
def test_one_argument_trains_without_low_rank(name, command_line, refused):
    command_line("fit", "--config", name, *tiny(name), "--model.shrinkage", "false")
    command_line("test", "--config", next(Path("runs").rglob("config.yaml")))
    (best,) = Path("runs").rglob("best.ckpt")
    weights = torch.load(best, weights_only=True)["state_dict"]
    logits = [weight for key, weight in weights.items() if key.endswith("threshold_logit")]
    assert logits
    assert all(logit == -2 for logit in logits)  # as in the beginning
    untrained = "dynamic_mri/nuclear_norm.yaml"
    message = refused("test", "--config", untrained, *tiny(untrained), "--model.shrinkage", "false")
    assert "NuclearNormRecon learns no low-rank step" in message


def test_fit_validate_test_predict(command_line, capsys):
    command_line("fit", *DEMO)
    assert (RUNS / "version_0/config.yaml").exists()
    assert {file.name for file in (RUNS / "version_0/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    assert "val/psnr" in (RUNS / "version_0/metrics.csv").read_text()

    command_line("validate", *DEMO)
    capsys.readouterr()
    command_line("test", *DEMO)
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("cat", "PSNR, dB", "SSIM", "SER, dB", "MSE", "mean (std)", "zero-filled"))
    with (RUNS / "version_2/test/metrics.csv").open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert rows.keys() == {"cat", "mean", "std"}
    assert float(rows["cat"]["psnr"]) == float(rows["mean"]["psnr"])
    assert 5 < float(rows["cat"]["zero_filled_psnr"]) < 10
    assert io.imread(RUNS / "version_2/test/panels.png").ndim == 3

    io.imsave("photo.jpg", data.chelsea()[:40, :50])
    formats = ["--prediction.image_formats", "[png,tiff]"]
    command_line("predict", *DEMO, "--data.predict_images", "photo.jpg", "--data.ratio", "0.9", *formats)
    rounded, exact = (io.imread(RUNS / f"version_3/predictions/photo.{suffix}") for suffix in ("png", "tiff"))
    assert rounded.shape == (40, 50, 3)
    np.testing.assert_array_equal(rounded, exact.round().clip(0, 255))


@pytest.mark.usefixtures("empty_figures", "demo_is_trained")
def test_predict_returns_what_the_mask_lets_through(command_line):
    photo, mask = data.chelsea()[:40, :50], np.zeros((40, 50), np.uint8)
    mask[::2] = 255
    io.imsave("photo.png", photo)
    io.imsave("mask.png", mask)
    command_line("predict", *DEMO, "--data.predict_images", "photo.png", "--data.predict_mask", "mask.png")
    predicted = io.imread(RUNS / "version_1/predictions/photo.png")
    np.testing.assert_array_equal(predicted[::2], photo[::2])
    assert not np.array_equal(predicted[1::2], photo[1::2])


def test_dynamic_mri_is_tested_and_predicted(command_line, capsys):
    words = ["--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC]
    command_line("fit", *words)
    command_line("test", *words, "--trainer.limit_test_batches", "2")
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("Test on synthetic data", "test/0000", "PSNR, dB", "SER, dB", "NMSE", "HFEN"))
    (report,) = Path("runs").rglob("test/metrics.csv")
    with report.open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert rows["test/0001"]["origin"] == "synthetic"
    with Image.open(report.with_name("cine.gif")) as animation:
        assert animation.n_frames == 3
    assert io.imread(report.with_name("panels.png")).ndim == 3

    rng = np.random.default_rng(0)
    kspace = rng.normal(size=(2, 3, 24, 20)) + 1j * rng.normal(size=(2, 3, 24, 20))
    np.savez("scan.npz", kspace=kspace, coil_sensitivities=np.full((2, 24, 20), 0.7 + 0j))
    command_line("predict", *words, "--data.predict_kspace", "scan.npz")
    (written,) = Path("runs").rglob("scan.h5")
    series, attributes = read_series(written)
    assert series.shape == (3, 24, 20)
    assert series.dtype == np.complex64
    assert attributes["origin"] == "measured"
    assert attributes["checkpoint"].endswith("version_0/checkpoints/best.ckpt")
    with Image.open(written.with_suffix(".gif")) as animation:
        assert animation.n_frames == 3
    np.savez("scan.npz", kspace=1000 * kspace, coil_sensitivities=np.full((2, 24, 20), 0.7 + 0j))
    command_line("predict", *words, "--data.predict_kspace", "scan.npz")
    louder, _ = read_series(max(Path("runs").rglob("scan.h5"), key=lambda path: path.stat().st_mtime))
    np.testing.assert_allclose(louder, 1000 * series, rtol=1e-3, atol=1e-3 * np.abs(1000 * series).max())


@pytest.mark.usefixtures("empty_figures")
def test_the_published_start_is_one_argument_away(command_line):
    command_line("fit", *DEMO, "--model.network.start", "ZeroFilled")
    assert "ZeroFilled" in (RUNS / "version_0/config.yaml").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("empty_figures")
def test_several_coils_take_one_argument(command_line, monkeypatch):
    coils = []
    monkeypatch.setattr(
        DynamicMRI, "on_test_batch_start", lambda module, batch, *_: coils.append(batch.measurement.shape[1])
    )
    words = ["--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC, "--data.coils", "3"]
    command_line("fit", *words)
    command_line("test", *words)
    assert coils == [3]


@pytest.mark.usefixtures("empty_figures")
def test_resuming_is_exact(command_line):
    command_line("fit", *DEMO, "--trainer.max_epochs", "2")
    command_line("fit", *DEMO)
    command_line("fit", *DEMO, "--trainer.max_epochs", "2", "--ckpt_path", "last")
    whole, resumed = checkpoint(0, "last"), checkpoint(2, "last")
    assert whole["epoch"] == 1
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "global_step"):
        assert same(whole[part], resumed[part]), part
    assert not same(whole["state_dict"], checkpoint(1, "last")["state_dict"])


@pytest.mark.slow
@pytest.mark.usefixtures("empty_figures")
def test_resuming_takes_the_rate_that_is_given(command_line, caplog):
    command_line("fit", *DEMO)
    command_line("fit", *DEMO, "--trainer.max_epochs", "2", "--ckpt_path", "last", "--model.optimizer.lr", "1e-5")
    (group,) = checkpoint(1, "last")["optimizer_states"][0]["param_groups"]
    assert group["lr"] == pytest.approx(0.7**2 * 1e-5)
    assert "--model.optimizer.lr is 1e-05 from here on, now 7e-06 by the scheduler; it was 0.002" in caplog.text


@pytest.mark.slow
@pytest.mark.usefixtures("empty_figures")
def test_resuming_keeps_the_best_checkpoint_of_the_run(command_line, caplog):
    command_line("fit", *DEMO)
    last = checkpoint(0, "last")
    (state,) = (state for name, state in last["callbacks"].items() if name.startswith("ResumableCheckpoint"))
    unbeatable = torch.tensor(99.0)
    state["best_model_score"] = state["kth_value"] = unbeatable
    state["best_k_models"] = dict.fromkeys(state["best_k_models"], unbeatable)
    torch.save(last, RUNS / "version_0/checkpoints/last.ckpt")
    command_line("fit", *DEMO, "--trainer.max_epochs", "2", "--ckpt_path", "last")
    assert {file.name for file in (RUNS / "version_1/checkpoints").iterdir()} == {"last.ckpt"}
    assert (RUNS / "version_0/checkpoints/best.ckpt").exists()
    command_line("test", *DEMO)
    assert "version_0/checkpoints/best.ckpt" in caplog.text


@pytest.mark.usefixtures("empty_figures", "demo_is_trained")
def test_a_checkpoint_of_another_network_is_refused(command_line, refused):
    told = refused("test", *DEMO, "--model.network.init_args.iterations", "3")
    assert re.match(r"the checkpoint is of another network: 8 weights .*iterations\.2.*config\.yaml", told)
    command_line("test", "--config", RUNS / "version_0/config.yaml")


@pytest.mark.slow
@pytest.mark.usefixtures("empty_figures")
def test_checkpoints_are_found_without_a_logger_or_in_a_chosen_folder(command_line):
    for choice in (["--trainer.logger", "false"], ["--checkpoint.dirpath", "chosen"]):
        command_line("fit", *DEMO, *choice)
        command_line("validate", *DEMO, *choice)
    assert Path("checkpoints/best.ckpt").exists()
    assert Path("chosen/best.ckpt").exists()


class TestBeginsError(Exception):
    __test__ = False  # not a pytest class


@pytest.mark.usefixtures("empty_figures", "demo_is_trained")
def test_the_command_line_beats_the_checkpoint(command_line, monkeypatch):
    def begin(module):
        raise TestBeginsError(module.tile_size)

    monkeypatch.setattr(ColorCS, "on_test_start", begin)
    for words, size in (([], 32), (["--model.tile_size", "48"], 48)):
        with pytest.raises(TestBeginsError, match=f"^{size}$"):
            command_line("test", *DEMO, *words)


@pytest.mark.usefixtures("demo_is_trained")
def test_a_checkpoint_rebuilds_its_module(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    module = ColorCS.load_from_checkpoint(RUNS / "version_0/checkpoints/best.ckpt", weights_only=True)
    assert len(module.network.iterations) == 2
    assert same(dict(module.state_dict()), dict(checkpoint(0, "best")["state_dict"]))


def test_a_config_of_ones_own(command_line, tmp_path, capsys):
    (tmp_path / "own.yaml").write_text("trainer:\n  max_epochs: 77\n")
    with pytest.raises(SystemExit):
        command_line("fit", "--config=color_cs/demo.yaml", "-c", "own.yaml", "--print_config")
    assert yaml.safe_load(capsys.readouterr().out)["trainer"]["max_epochs"] == 77


def test_epochs_are_lines_of_a_log(command_line, capsys):
    command_line("fit", *DEMO, "--trainer.max_epochs", "2")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert [line.partition(":")[0] for line in lines] == ["Epoch 1/2", "Epoch 2/2"]
    assert all(re.search(r": \d+\.\d s, train/loss .*val/psnr \d", line) for line in lines)


def test_classes_of_ones_own_are_found_in_the_current_folder(command_line, tmp_path, capsys):
    (tmp_path / "my_own_photos.py").write_text("from datamodules import SamplePhotos\nclass Mine(SamplePhotos): pass\n")
    with pytest.raises(SystemExit):
        command_line("fit", "--config", "color_cs/demo.yaml", "--data", "my_own_photos.Mine", "--print_config")
    assert yaml.safe_load(capsys.readouterr().out)["data"]["class_path"] == "my_own_photos.Mine"


PROGRAMS = {
    "module": [sys.executable, "-m", "lowrank_unroll"],
    "cli.py": [sys.executable, CHECKOUT / "cli.py"],
    "command": [Path(sys.executable).with_name("lowrank-unroll")],
}


@pytest.mark.slow
@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_every_way_to_start(program, tmp_path):
    finished = subprocess.run([*program, "fit", *DEMO], cwd=tmp_path, check=False, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / RUNS / "version_0/checkpoints/best.ckpt").exists()
    assert "Warning" not in finished.stderr
    assert "Tip" not in finished.stdout + finished.stderr


def test_another_package_named_datamodules_is_reported(tmp_path):
    (tmp_path / "datamodules").mkdir()
    (tmp_path / "datamodules/__init__.py").touch()
    words = [sys.executable, "-m", "lowrank_unroll", "fit", "--help-all"]
    finished = subprocess.run(words, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert finished.returncode == 1
    assert f"another one at {tmp_path / 'datamodules' / '__init__.py'}" in finished.stderr


@pytest.mark.slow
def test_weights_and_biases_logs_offline_when_nobody_is_logged_in(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))  # where credentials would be
    for name in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    words = [sys.executable, "-m", "lowrank_unroll", "fit", *DEMO, "--config", "logger/wandb.yaml"]
    finished = subprocess.run(
        words, cwd=tmp_path, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=180
    )
    assert finished.returncode == 0, finished.stderr
    assert "logging offline" in finished.stdout
    (run,) = (tmp_path / "runs/wandb").glob("offline-run-*/*.wandb")
    content = run.read_bytes()
    assert all(word in content for word in (b"val/psnr", b"TLRNet", b"SamplePhotos"))
    assert (tmp_path / RUNS / "version_0/config.yaml").exists()


def mean_of_test(run):
    with (Path("runs") / run / "test/metrics.csv").open() as file:
        return {row["image"]: row for row in csv.DictReader(file)}["mean"]


@pytest.mark.slow(seconds=150)
def test_the_demo_of_colour_images_keeps_its_promise(command_line):
    command_line("fit", "--config", "color_cs/demo.yaml")
    command_line("test", "--config", "color_cs/demo.yaml")
    mean = mean_of_test("color_cs_demo/version_1")
    assert float(mean["psnr"]) >= 33.5
    assert float(mean["psnr"]) >= float(mean["LinearInterpolation_psnr"]) + 2.5
    assert float(mean["psnr"]) >= float(mean["NonLocalLowRankRecon_psnr"])


@pytest.mark.slow(seconds=200)
def test_the_demo_of_dynamic_mri_keeps_its_promise(command_line):
    command_line("fit", "--config", "dynamic_mri/demo.yaml")
    command_line("test", "--config", "dynamic_mri/demo.yaml")
    mean = mean_of_test("dynamic_mri_demo/version_1")
    assert float(mean["NuclearNormRecon_psnr"]) < float(mean["LocallyLowRankRecon_psnr"])
    assert float(mean["psnr"]) >= 31.8
    assert float(mean["psnr"]) >= float(mean["LocallyLowRankRecon_psnr"]) + 0.9
