"""Weights & Biases, offline: what a run keeps is read back from its own files."""

import contextlib
import json
import struct
import subprocess
import sys
import time
from itertools import product

import pytest
import requests
import wandb
import yaml
from conftest import TINY, TINY_DYNAMIC
from PIL import Image
from wandb.proto.wandb_internal_pb2 import Record

import lowrank_unroll
from lowrank_unroll.__main__ import main
from lowrank_unroll.command_line.configs import config_folder, config_names
from lowrank_unroll.runs import weights_and_biases

LOGGED = ["--config", "dynamic_mri/demo.yaml", "--config", "logger/wandb.yaml", *TINY_DYNAMIC]
LOGGER = "--trainer.logger.init_args"
OWN = [f"{LOGGER}.log_model", "true", f"{LOGGER}.group", "my group", f"{LOGGER}.name", "my run"]
FIT = ["fit", *LOGGED, *OWN, "--pictures.samples", "2"]
TEST = ["test", *LOGGED, "--trainer.limit_test_batches", "2"]
SWEEP = config_folder() / "sweeps/svd_gradient.yaml"
NO_MODE = ("WANDB_MODE", "WANDB_API_KEY")
BLOCK = 32768


def records(run):
    """Read the records of a .wandb file: LevelDB's log format behind a header of seven bytes."""
    (file,) = run.glob("*.wandb")
    content, place, record = file.read_bytes(), 7, b""
    while place + 7 <= len(content):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[place : place + 7])
        record += content[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in {1, 4}:  # whole, or the last part
            yield Record.FromString(record)
            record = b""


def of_type(records, name):
    return [getattr(record, name) for record in records if record.WhichOneof("record_type") == name]


def config_of(records):
    return {item.key: json.loads(item.value_json) for config in of_type(records, "config") for item in config.update}


def table(run, name):
    (file,) = (run / "files/media/table").glob(f"{name}_*.table.json")
    return json.loads(file.read_text())


def git(*words):
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    return subprocess.run(["git", *author, *words], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Go to an empty folder in which nobody is logged in."""
    folder = tmp_path_factory.mktemp("wandb")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))  # where credentials would be
        patch.chdir(folder)
        for name in NO_MODE:
            patch.delenv(name, raising=False)
        wandb.teardown()
        yield folder
        wandb.teardown()


@pytest.fixture(scope="module")
def runs(home):
    """Return the offline runs of a training and of its test, in a checkout of git."""
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message", "code")
    for words in (FIT, TEST):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["lowrank-unroll", *words])
            main()
        wandb.finish()
    fit, test = sorted(home.glob("runs/wandb/offline-run-*"), key=lambda run: run.stat().st_ctime)
    return fit, test


@pytest.fixture(scope="module")
def fitted(runs):
    return list(records(runs[0]))


@pytest.mark.slow
def test_the_whole_config_is_kept(fitted, home):
    config = config_of(fitted)
    (file,) = home.glob("runs/dynamic_mri_demo/version_0/config.yaml")
    saved = yaml.safe_load(file.read_text())
    for part in ("seed_everything", "model", "data", "checkpoint", "pictures"):
        assert config[part] == saved[part], part
    assert config["trainer"]["max_epochs"] == 1
    assert config["model"]["init_args"]["network"]["init_args"]["gradient"] == "exact"


def test_the_command_line_and_the_version_of_the_code_are_kept(fitted, home):
    config = config_of(fitted)
    assert config["command"].startswith("lowrank-unroll fit --config dynamic_mri/demo.yaml --config logger/wandb.yaml")
    assert "'my group'" in config["command"]
    assert config["lowrank_unroll_version"] == lowrank_unroll.__version__
    (environment, *_) = of_type(fitted, "environment")
    assert environment.git.commit == git("rev-parse", "HEAD")


def test_name_and_group_are_those_of_the_config(fitted):
    (run,) = of_type(fitted, "run")
    assert (run.display_name, run.run_group, run.project) == ("my run", "my group", "lowrank_unroll")


def test_the_size_of_the_network_is_kept(fitted, runs):
    config, layers = config_of(fitted), table(runs[0], "model")
    assert layers["columns"] == ["layer", "type", "parameters"]
    sizes = {name: count for name, _, count in layers["data"]}
    assert config["parameters"] == sizes["network"] > 0
    assert config["trainable_parameters"] == sizes["network"] - 1  # the last momentum, which nothing follows
    assert sizes["network"] == sizes["network.iterations.0"] + sizes["network.iterations.1"]


def test_metrics_and_pictures_are_kept(fitted, runs):
    names = {item.nested_key[0] for history in of_type(fitted, "history") for item in history.item}
    assert {"train/loss", "val/psnr", "val/ssim", "val/pictures", "val/cine"} <= names
    (picture,), (cine,) = (runs[0].glob(f"files/media/{kind}/val/*") for kind in ("images", "videos"))
    with Image.open(picture) as panels, Image.open(cine) as animation:
        assert (panels.format, animation.format, animation.n_frames) == ("PNG", "GIF", 3)
    assert not (runs[0].parents[2] / "runs/dynamic_mri_demo/version_0/pictures").exists()


def test_the_best_checkpoint_is_an_artifact_where_asked_for(fitted, runs):
    models = [artifact for artifact in of_type(fitted, "artifact") if artifact.type == "model"]
    assert models
    assert any("best" in model.aliases for model in models)
    assert all(artifact.type != "model" for artifact in of_type(records(runs[1]), "artifact"))


def test_the_samples_of_the_test_are_a_table(runs):
    samples = table(runs[1], "test/samples")
    metrics = ["psnr", "ssim", "ser", "nmse", "hfen"]
    assert samples["columns"] == ["image", "origin", *metrics, *(f"zero_filled_{metric}" for metric in metrics)]
    assert [row[:2] for row in samples["data"]] == [["test/0000", "synthetic"], ["test/0001", "synthetic"]]
    assert all(isinstance(value, float) for row in samples["data"] for value in row[2:])


@pytest.fixture
def _disabled(home, monkeypatch):
    """Let wandb read its environment again, as it does once in a process."""
    wandb.teardown()
    monkeypatch.setenv("WANDB_MODE", "disabled")
    yield
    wandb.finish()
    wandb.teardown()


@pytest.mark.slow
@pytest.mark.usefixtures("_disabled")
def test_nothing_is_kept_where_weights_and_biases_is_disabled(command_line, tmp_path):
    command_line(*FIT)
    assert (tmp_path / "runs/dynamic_mri_demo/version_0/checkpoints/best.ckpt").exists()
    assert not list(tmp_path.rglob("*.wandb"))


def test_a_login_without_a_network_does_not_block(home, monkeypatch):
    monkeypatch.setattr(wandb, "login", lambda **_: True)
    monkeypatch.setattr(requests.sessions.Session, "send", unreachable)
    start = time.monotonic()
    assert weights_and_biases.reason_to_log_offline().startswith("Weights & Biases does not answer at https://")
    assert time.monotonic() - start < 2
    monkeypatch.setattr(requests.sessions.Session, "send", lambda *_, **__: requests.Response())
    assert weights_and_biases.reason_to_log_offline() is None
    monkeypatch.setattr(requests.sessions.Session, "send", untrusted)
    assert weights_and_biases.reason_to_log_offline() is None


def unreachable(*_, timeout, **__):
    assert timeout <= 5
    raise requests.ConnectTimeout


def untrusted(*_, **__):
    raise requests.exceptions.SSLError


def sweep_commands():
    """Return the words of each run of the sweep, put together as wandb's agent does."""
    from wandb.sdk.launch.sweeps.utils import (  # noqa: PLC0415  imports for seconds, in every worker
        create_sweep_command,
        create_sweep_command_args,
    )

    sweep = yaml.safe_load(SWEEP.read_text())
    assert sweep["method"] == "grid"
    names = list(sweep["parameters"])
    for values in product(*(sweep["parameters"][name]["values"] for name in names)):
        arguments = {name: {"value": value} for name, value in zip(names, values, strict=True)}
        variables = create_sweep_command_args({"args": arguments})
        variables |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
        words = []
        for word in create_sweep_command(list(sweep["command"])):
            words += variables[word[2:-1]] if word.startswith("${") else [word]
        yield words


@pytest.mark.slow
def test_the_sweep_trains_once_with_each_gradient(command_line, capsys):
    gradients = []
    for environment, program, *words in sweep_commands():
        assert (environment, program) == ("/usr/bin/env", "lowrank-unroll")
        with contextlib.suppress(SystemExit):
            command_line(*words, "--print_config")
        printed = yaml.safe_load(capsys.readouterr().out)
        gradients.append(printed["model"]["init_args"]["network"]["init_args"]["gradient"])
        assert printed["trainer"]["logger"][-1]["class_path"].endswith("WandbLogger")
    assert gradients == ["exact", "plain", "zero", "clip", "taylor", "pinv"]
    metric = yaml.safe_load(SWEEP.read_text())["metric"]
    assert (metric["name"], metric["goal"]) == ("val/psnr", "maximize")


@pytest.mark.usefixtures("_disabled")
def test_a_run_of_the_sweep_trains(command_line, tmp_path):
    *_, (_, _, *words) = sweep_commands()
    command_line(*words, *TINY)
    assert (tmp_path / "runs/color_cs_demo/version_0/checkpoints/best.ckpt").exists()


def test_a_sweep_is_no_config():
    assert SWEEP.exists()
    assert not any("sweep" in name for name in config_names())
