"""Several processes do what one does, and no more."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import TINY_DYNAMIC, same, tiny
from support.forked import start_forked
from test_resume import assert_ends_alike, last, losses, sending
from torch import distributed

from datamodules.loading.samplers import DrawSampler, UnrepeatedSampler
from lowrank_unroll.command_line.configs import config_folder

PYTHON = [sys.executable, "-m", "lowrank_unroll"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "lowrank_unroll"]
TWO = ["--config", "trainer/ddp.yaml"]
RUNS = Path("runs/dynamic_mri_demo")
# Three batches of four crops an epoch, or of two in each of two processes; odd numbers of series to evaluate.
WORDS = [
    *("--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC, "--trainer.max_epochs", "2"),
    *("--trainer.limit_train_batches", "1.0", "--trainer.limit_val_batches", "1.0"),
    *("--trainer.limit_test_batches", "1.0", "--data.train_series", "6", "--data.crops_per_cine", "2"),
    *("--data.val_series", "3", "--data.test_series", "3"),
]
gloo = pytest.mark.skipif(not distributed.is_gloo_available(), reason="this PyTorch has no gloo")


def start(folder, *words, program=PYTHON):
    """Run the command line in processes of its own, as a user would."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [str(word) for word in (*program, *words)]
    return subprocess.run(
        command, cwd=folder, env=environment, check=False, capture_output=True, text=True, timeout=300
    )


def run(folder, *words, program=PYTHON):
    finished = start(folder, *words, program=program)
    assert finished.returncode == 0, finished.stderr
    assert "Warning" not in finished.stderr
    return finished.stdout


def run_forked(folder, *words):
    """Run the command line in two processes that need not import, told of each other as by Lightning's launcher."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    log = folder / "log"
    log.unlink(missing_ok=True)
    both = [start_forked(folder, words, log, LOCAL_RANK=str(rank), **place) for rank in (0, 1)]
    for process in both:
        process.join(300)
    shown = log.read_text()
    assert [process.exitcode for process in both] == [0, 0], shown
    assert "Warning" not in shown
    return shown


@pytest.fixture
def alone(command_line, monkeypatch, capsys):
    """Run the command line in this process, where nothing has to be imported again."""

    def run_here(folder, *words):
        monkeypatch.chdir(folder)
        command_line(*words)
        return capsys.readouterr().out

    return run_here


def metrics(runs, version):
    """Return the last value of everything that was logged."""
    rows = csv.DictReader((runs / f"version_{version}/metrics.csv").read_text().splitlines())
    return {name: float(value) for row in rows for name, value in row.items() if value}


@gloo
@pytest.mark.slow(seconds=60)
def test_two_processes_train_and_test_as_one_with_twice_the_batch(tmp_path, alone):
    one, two = tmp_path / "one", tmp_path / "two"
    for folder, words, start_in in (
        (one, ["--data.batch_size", "4"], alone),
        (two, ["--data.batch_size", "2", *TWO], run_forked),
    ):
        folder.mkdir()
        start_in(folder, "fit", *WORDS, *words)
        shown = start_in(folder, "test", *WORDS, *words)
        assert len(re.findall(r"^ test/000\d", shown, re.MULTILINE)) == 3
    assert len(list(two.glob("data/**/*.h5"))) == len(list(one.glob("data/**/*.h5"))) == 3

    curves = [torch.tensor([float(loss) for *_, loss in losses(0, runs=folder / RUNS)]) for folder in (one, two)]
    assert curves[0].shape == (6,)
    torch.testing.assert_close(*curves, rtol=0, atol=1e-5)
    torch.testing.assert_close(*(last(0, folder / RUNS)["state_dict"] for folder in (one, two)), rtol=0, atol=1e-5)
    for version in (0, 1):
        assert metrics(two / RUNS, version) == pytest.approx(metrics(one / RUNS, version), rel=1e-6, abs=1e-5)

    # The same weights, so that reports must be the same by the bit.
    words = ["--ckpt_path", one / RUNS / "version_0/checkpoints/best.ckpt"]
    alone(one, "test", *WORDS, *words)
    run(two, "test", *WORDS, *words, *TWO)
    tests = [folder / RUNS / "version_2/test" for folder in (one, two)]
    for name in ("metrics.csv", "panels.png", "cine.gif"):
        assert (tests[0] / name).read_bytes() == (tests[1] / name).read_bytes(), name
    one_found, two_found = (json.loads((test / "metrics.json").read_text()) for test in tests)
    for sample in (*one_found["samples"], *two_found["samples"]):
        assert sample.pop("seconds")["reconstruction"] > 0
    # Each is repeated as it was called, by the program or by the module.
    repeated = [found.pop("command").partition(" test ") for found in (one_found, two_found)]
    assert [program for program, *_ in repeated] == ["lowrank-unroll", "python -m lowrank_unroll"]
    assert repeated[0][1:] == repeated[1][1:]
    assert one_found == two_found
    one_logged, two_logged = (metrics(folder / RUNS, 2) for folder in (one, two))
    assert two_logged == pytest.approx(one_logged, rel=1e-6)


@gloo
@pytest.mark.slow(seconds=40)
def test_more_processes_than_samples(tmp_path, alone):
    few = [*WORDS, "--data.train_series", "1", "--data.val_series", "1", "--data.test_series", "1"]
    run_forked(tmp_path, "fit", *few, *TWO)
    run_forked(tmp_path, "test", *few, *TWO)
    alone(tmp_path, "test", *few)
    two, one = ((tmp_path / RUNS / f"version_{version}/test/metrics.csv").read_text() for version in (1, 2))
    assert two == one
    assert metrics(tmp_path / RUNS, 1) == pytest.approx(metrics(tmp_path / RUNS, 2), rel=1e-6)
    np.savez(tmp_path / "scan.npz", kspace=torch.randn(1, 3, 24, 20, dtype=torch.complex64).numpy())
    run_forked(tmp_path, "predict", *few, *TWO, "--data.predict_kspace", "scan.npz")
    assert len(list(tmp_path.rglob("scan*.h5"))) == 1


@gloo
@pytest.mark.slow(seconds=40)
def test_a_signal_to_any_process_stops_all_and_loses_nothing(tmp_path):
    words = [*WORDS, "--data.batch_size", "2"]
    run_forked(tmp_path, "fit", *words, *TWO)
    stopped = start(tmp_path, "fit", *words, *TWO, *sending(4, "SIGTERM", rank=1))
    assert stopped.returncode == 128 + signal.SIGTERM, stopped.stderr
    assert stopped.stderr.count("Stopped by a signal") == 1
    assert last(1, tmp_path / RUNS)["global_step"] == 5
    run_forked(tmp_path, "fit", *words, *TWO, "--ckpt_path", "last")
    assert_ends_alike(last(0, tmp_path / RUNS), last(2, tmp_path / RUNS))


@gloo
@pytest.mark.slow(seconds=30)
def test_torchrun(tmp_path):
    words = [*WORDS, "--data.batch_size", "2", *TWO]
    run_forked(tmp_path, "fit", *words)
    run(tmp_path, "fit", *words, program=TORCHRUN)
    assert same(last(0, tmp_path / RUNS)["state_dict"], last(1, tmp_path / RUNS)["state_dict"])
    assert {folder.name for folder in (tmp_path / RUNS).iterdir()} == {"version_0", "version_1"}


@pytest.fixture
def _no_processes_left():
    yield
    if distributed.is_initialized():
        distributed.destroy_process_group()


@gloo
@pytest.mark.usefixtures("_no_processes_left")
@pytest.mark.parametrize(("config", "network"), [("color_cs/demo.yaml", "TLRNet"), ("dynamic_mri/demo.yaml", "SLRNet")])
@pytest.mark.usefixtures("empty_figures")
def test_every_parameter_gets_a_gradient(config, network, command_line):
    """DistributedDataParallel would stop at the second batch, waiting for those of the first that got none.

    That every network gives each of its parameters a gradient, test_networks.py checks.
    """
    ddp = ["--trainer.strategy", "ddp", "--trainer.devices", "1", "--trainer.limit_train_batches", "2"]
    command_line("fit", "--config", config, "--model.network", network, *tiny(config), *ddp)
    assert len(list(Path("runs").rglob("last.ckpt"))) == 1


def test_processes_draw_apart_and_as_one_process_would():
    epoch = list(DrawSampler(range(12), num_replicas=1, rank=0, seed=1))
    shares = [list(DrawSampler(range(12), num_replicas=2, rank=rank, seed=1)) for rank in (0, 1)]
    assert shares == [epoch[0::2], epoch[1::2]]
    again = [list(DrawSampler(range(12), num_replicas=2, rank=rank, seed=1)) for rank in (0, 1)]
    assert shares == again
    other_seed = DrawSampler(range(12), num_replicas=1, rank=0, seed=2)
    assert epoch != list(other_seed)


@pytest.mark.parametrize(("samples", "processes"), [(5, 2), (4, 2), (2, 3), (0, 2)])
def test_shares_hold_each_sample_once(samples, processes):
    shares = [UnrepeatedSampler(range(samples), processes, rank) for rank in range(processes)]
    assert sorted(index for share in shares for index in share) == list(range(samples))
    assert [len(share) for share in shares] == [len(list(share)) for share in shares]


@pytest.mark.slow
@pytest.mark.usefixtures("empty_figures")
def test_the_quick_look_runs(command_line):
    words = ["--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC, "--config", "trainer/fast.yaml"]
    command_line("fit", *words)
    command_line("test", *words)
    assert len(list(Path("runs").rglob("report.html"))) == 1
    assert len(list(Path("runs").rglob("pictures/*.png"))) == 1


def test_overlays_agree_with_the_script_for_slurm():
    trainer = yaml.safe_load((config_folder() / "trainer/slurm.yaml").read_text())["trainer"]
    page = (Path(__file__).parents[2] / "docs/scaling.md").read_text()
    assert f"#SBATCH --nodes={trainer['num_nodes']}\n" in page
    assert f"#SBATCH --ntasks-per-node={trainer['devices']} " in page
    assert trainer["plugins"][0]["init_args"]["requeue_signal"].removeprefix("SIG") + "@" in page
