"""A training that is stopped and resumed ends as if nothing had happened."""

import csv
import itertools
import os
import pty
import shutil
import signal
import sys
from pathlib import Path

import pytest
import torch
from conftest import TINY, same
from lightning.pytorch import Callback

from datamodules import SamplePhotos
from lowrank_unroll.__main__ import main

RUNS = Path("runs/color_cs_demo")
# Two epochs of five batches.
WORDS = [
    *("--config", "color_cs/demo.yaml", *TINY, "--trainer.max_epochs", "2", "--trainer.limit_train_batches", "5"),
    *("--pictures.samples", "0", "--trainer.num_sanity_val_steps", "0"),
]


@pytest.fixture(autouse=True)
def _interruptible():
    """Let Ctrl-C interrupt, and a hangup hang up, also where the tests run in the background and a shell ignores it."""
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}
    before = {signum: signal.signal(signum, handler) for signum, handler in handlers.items()}
    outputs = {output: os.dup(output) for output in (1, 2)}  # which a hangup closes
    yield
    for output, copy in outputs.items():
        os.dup2(copy, output)
        os.close(copy)
    for signum, handler in before.items():
        signal.signal(signum, handler)


class SendSignal(Callback):
    """Send signals to the own process between forward and backward pass of a step, as a scheduler might."""

    def __init__(self, step: int, signals: list[str], rank: int = 0):
        self.step, self.signals, self.rank = step, signals, rank

    def on_before_backward(self, trainer, pl_module, loss):
        if trainer.global_step == self.step and trainer.global_rank == self.rank:
            for name in self.signals:
                os.kill(os.getpid(), signal.Signals[name])


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["lowrank-unroll", "fit", *WORDS])
        main()
    return folder / "runs"


@pytest.fixture
def _trained(uninterrupted, tmp_path):
    """The folder of `command_line` holds a training that nothing stopped, version_0."""
    shutil.copytree(uninterrupted, tmp_path / "runs")


def sending(step, *names, rank=0):
    return [
        *("--trainer.callbacks+=test_resume.SendSignal", "--trainer.callbacks.step", str(step)),
        *("--trainer.callbacks.signals", f"[{','.join(names)}]", "--trainer.callbacks.rank", str(rank)),
    ]


def last(version, runs=RUNS):
    return torch.load(runs / f"version_{version}/checkpoints/last.ckpt", weights_only=True)


def losses(*versions, runs=RUNS):
    """Return the training loss by step, of runs that continue each other."""
    texts = [(runs / f"version_{version}/metrics.csv").read_text() for version in versions]
    tables = [list(csv.DictReader(text.splitlines())) for text in texts]
    return [(row["epoch"], row["step"], row["train/loss"]) for table in tables for row in table if row["train/loss"]]


def assert_ends_alike(one, other):
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step"):
        assert same(one[part], other[part]), part


@pytest.mark.parametrize(
    ("name", "step", "words"),
    [
        pytest.param("SIGTERM", 7, ["--data.num_workers", "2"], marks=pytest.mark.slow),
        ("SIGINT", 2, []),
        pytest.param("SIGHUP", 7, [], marks=pytest.mark.slow),
        pytest.param("SIGTERM", 4, [], marks=pytest.mark.slow),  # the last batch of an epoch
    ],
)
@pytest.mark.usefixtures("_trained")
def test_a_signal_loses_nothing(name, step, words, command_line, capsys):
    assert_stops_and_resumes(name, step, words, command_line, capsys)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("step", "words"),
    [(1, ["--trainer.accumulate_grad_batches", "2"]), (5, ["--trainer.val_check_interval", "2"])],
    ids=["accumulated batches", "before a validation"],
)
def test_a_signal_loses_nothing_of_other_trainings(step, words, command_line, capsys):
    command_line("fit", *WORDS, *words)
    assert_stops_and_resumes("SIGTERM", step, words, command_line, capsys)


def assert_stops_and_resumes(name, step, words, command_line, capsys):
    """Assert that a training ends like version_0."""
    with pytest.raises(SystemExit) as stop:
        command_line("fit", *WORDS, *words, *sending(step, name))
    assert stop.value.code == 128 + (signal.SIGHUP if name == "SIGHUP" else signal.SIGTERM)
    assert "`fit --ckpt_path last` goes on from here" in capsys.readouterr().err
    assert last(1)["global_step"] >= step
    command_line("fit", *WORDS, *words, "--ckpt_path", "last")
    assert_ends_alike(last(0), last(2))
    assert losses(0) == losses(1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 5, 8])
def test_a_checkpoint_of_any_step_resumes_exactly(step, command_line):
    every_step = ["--trainer.callbacks.every_n_train_steps", "1", "--trainer.callbacks.save_top_k=-1"]
    words = [*WORDS, "--trainer.callbacks+=ResumableCheckpoint", *every_step, "--data.num_workers", "2"]
    command_line("fit", *words)
    command_line("fit", *words, "--ckpt_path", RUNS / f"version_0/checkpoints/epoch={(step - 1) // 5}-step={step}.ckpt")
    assert_ends_alike(last(0), last(1))
    assert losses(0)[step:] == losses(1)


def test_a_second_interrupt_stops_at_once(command_line, capfd):
    command_line("fit", *WORDS, "--trainer.max_epochs", "1")
    with pytest.raises(SystemExit):
        command_line("fit", *WORDS, *sending(7, "SIGINT", "SIGINT"))
    assert last(1)["global_step"] == 5  # the batch was not done, so nothing is kept of its epoch
    assert "Press Ctrl-C again" in capfd.readouterr().err


def test_handlers_are_given_back(command_line):
    signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(signum) for signum in signals]
    command_line("fit", *WORDS, "--trainer.max_epochs", "1")
    assert [signal.getsignal(signum) for signum in signals] == before


def test_nohup_trains_on(command_line):
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    command_line("fit", *WORDS, *sending(2, "SIGHUP"))
    assert last(0)["global_step"] == 10


@pytest.mark.slow(seconds=30)
def test_a_closed_terminal_loses_nothing(tmp_path, command_line):
    words = [*WORDS, "--trainer.max_epochs", "500"]
    process, terminal = pty.fork()
    if process == 0:
        os.execv(sys.executable, [sys.executable, "-m", "lowrank_unroll", "fit", *words])
    checkpoint = tmp_path / RUNS / "version_0/checkpoints/last.ckpt"
    while not checkpoint.exists():
        os.read(terminal, 1000)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 128 + signal.SIGHUP
    stopped = last(0)
    assert stopped["global_step"] >= 5
    command_line("fit", *WORDS, "--trainer.max_epochs", str(stopped["epoch"] + 2), "--ckpt_path", "last")
    command_line("fit", *WORDS, "--trainer.max_epochs", str(stopped["epoch"] + 2))
    assert_ends_alike(last(1), last(2))


class Crash(Callback):
    """Fail at a step, and say of each batch before which step the last checkpoint was saved."""

    def __init__(self, step: int):
        self.step = step
        seen.clear()

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        path = Path(trainer.checkpoint_callback.dirpath, "last.ckpt")
        seen.append(torch.load(path, weights_only=True)["global_step"] if path.exists() else 0)
        if trainer.global_step == self.step:
            raise PowerCutError


class PowerCutError(Exception):
    pass


seen: list[int] = []


@pytest.mark.filterwarnings("ignore:.*could not find the monitored key")
@pytest.mark.parametrize(
    ("words", "last_before_each_batch"),
    [
        (["--checkpoint.mode", "min"], [0] * 5 + [5] * 5 + [10] * 3),  # the first epoch is the best one
        *(
            pytest.param(words, expected, marks=pytest.mark.slow)
            for words, expected in [
                (["--trainer.check_val_every_n_epoch", "2"], [0] * 5 + [5] * 5 + [10] * 3),
                (["--trainer.check_val_every_n_epoch", "3"], [0] * 5 + [5] * 5 + [10] * 3),
                (["--trainer.limit_val_batches", "0"], [0] * 5 + [5] * 5 + [10] * 3),
                (["--trainer.val_check_interval", "2"], [0] * 5 + [5] * 5 + [10] * 3),  # in the middle of an epoch
                (["--checkpoint.monitor", "null"], [0] * 5 + [5] * 5 + [10] * 3),
                (["--checkpoint.save_top_k", "0"], [0] * 5 + [5] * 5 + [10] * 3),
                (["--checkpoint.save_last", "link", "--checkpoint.mode", "min"], [0] * 5 + [5] * 5 + [10] * 3),
                (["--checkpoint.every_n_epochs", "2"], [0] * 5 + [5] * 5 + [10] * 3),
                (["--checkpoint.every_n_train_steps", "3"], [0] * 3 + [3] * 2 + [5, 6, 6, 6, 9, 10, 10, 12]),
            ]
        ),
    ],
)
def test_the_last_checkpoint_is_that_of_the_last_epoch(words, last_before_each_batch, command_line):
    words = [*WORDS, "--trainer.max_epochs", "3", *words]
    command_line("fit", *words)
    with pytest.raises(PowerCutError):
        command_line("fit", *words, "--trainer.callbacks+=test_resume.Crash", "--trainer.callbacks.step", "12")
    assert seen == last_before_each_batch
    command_line("fit", *words, "--ckpt_path", "last")
    assert_ends_alike(last(0), last(2))
    assert losses(0)[last_before_each_batch[-1] :] == losses(2)


@pytest.mark.usefixtures("_trained")
def test_slurm_requeues_a_job_that_goes_on(command_line, monkeypatch, tmp_path):
    requeue = tmp_path / "bin/scontrol"
    requeue.parent.mkdir()
    requeue.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/requeued\n')
    requeue.chmod(0o755)
    job = {"JOB_ID": "1234", "JOB_NAME": "fit", "NTASKS": "1", "PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in job.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("PATH", f"{requeue.parent}:{os.environ['PATH']}")
    words = [*WORDS, "--trainer.default_root_dir", "job"]
    with pytest.raises(SystemExit):
        command_line("fit", *words, *sending(7, "SIGUSR1", "SIGTERM"))
    assert (tmp_path / "requeued").read_text() == "requeue 1234\n"
    assert [file.name for file in Path("job").iterdir()] == ["hpc_ckpt_1.ckpt"]
    command_line("fit", *words)
    assert_ends_alike(last(0), last(2))


@pytest.mark.filterwarnings("ignore:You requested to overfit")
def test_overfitting_a_few_batches_still_works(command_line):
    command_line("fit", *WORDS, "--trainer.overfit_batches", "2")
    assert last(0)["global_step"] == 4


def test_the_loader_goes_on_behind_what_was_trained_on():
    data = SamplePhotos(batch_size=2, patch_size=16, patches_per_image=2)
    data.setup("fit")

    def loader_of_epoch(epoch):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        return loader

    batches = [batch.name for batch in loader_of_epoch(3)]
    for handed_out in range(len(batches) + 1):
        loader = loader_of_epoch(3)
        assert len(list(itertools.islice(loader, handed_out))) == handed_out
        resumed = data.train_dataloader()
        resumed.load_state_dict(loader.state_dict())
        iterator = iter(resumed)  # before the epoch is set, as Lightning does
        resumed.sampler.set_epoch(3)
        assert [batch.name for batch in iterator] == batches[handed_out:]
        resumed.sampler.set_epoch(4)
        assert len(list(resumed)) == len(batches)
