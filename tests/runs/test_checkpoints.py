"""Checkpoints are replaced as a whole, and damaged ones are noticed."""

import os
import random
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from conftest import same
from lightning.fabric.plugins import TorchCheckpointIO
from lightning.pytorch import Callback
from support.forked import forkserver
from test_resume import RUNS, WORDS, assert_ends_alike, last

from lowrank_unroll.__main__ import main
from lowrank_unroll.errors import DataError
from lowrank_unroll.runs import is_damaged, read_checkpoint
from lowrank_unroll.runs.checkpoint_file import WholeCheckpointIO

CHECKPOINT = {"pytorch-lightning_version": "2.6.6", "state_dict": {"weight": torch.arange(9.0)}, "epoch": 3}


def flip(path, place, bit=0):
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


def test_a_checkpoint_is_a_plain_file_of_torch(tmp_path):
    WholeCheckpointIO().save_checkpoint(CHECKPOINT, tmp_path / "a" / "last.ckpt")
    assert same(torch.load(tmp_path / "a" / "last.ckpt", weights_only=True), CHECKPOINT)
    assert same(WholeCheckpointIO().load_checkpoint(tmp_path / "a" / "last.ckpt", weights_only=True), CHECKPOINT)
    assert len(list((tmp_path / "a").iterdir())) == 1


@pytest.mark.slow
def test_no_changed_bit_is_read_as_another_number(tmp_path):
    path, draw = tmp_path / "last.ckpt", random.Random(0)
    WholeCheckpointIO().save_checkpoint(CHECKPOINT, path)
    content, refused = path.read_bytes(), 0
    for place in range(len(content)):
        path.write_bytes(content)
        flip(path, place, draw.randrange(8))
        try:
            assert same(read_checkpoint(path), CHECKPOINT)  # the bit meant nothing
        except DataError:
            refused += 1
    assert refused > len(content) / 3


def test_the_trainer_reads_no_damaged_checkpoint(tmp_path):
    path = tmp_path / "hpc_ckpt_1.ckpt"
    WholeCheckpointIO().save_checkpoint(CHECKPOINT, path)
    flip(path, path.read_bytes().index(CHECKPOINT["state_dict"]["weight"].numpy().tobytes()))
    torch.load(path, weights_only=True)  # reads another number
    with pytest.raises(DataError, match=r"hpc_ckpt_1\.ckpt: is damaged"):
        WholeCheckpointIO().load_checkpoint(path)


@pytest.mark.slow
@pytest.mark.usefixtures("empty_figures")
def test_a_whole_checkpoint_is_named_instead_of_a_damaged_one(command_line, refused):
    command_line("fit", *WORDS)
    command_line("fit", *WORDS)
    checkpoints = RUNS / "version_1/checkpoints"
    flip(checkpoints / "last.ckpt", 4000)
    told = refused("fit", *WORDS, "--ckpt_path", "last")
    whole = checkpoints / "best.ckpt"
    assert told == f"{checkpoints}/last.ckpt: is damaged or cut short; the newest whole one is --ckpt_path {whole}\n"
    command_line("test", *WORDS)
    (checkpoints / "best.ckpt").write_bytes(b"")
    told = refused("test", *WORDS)
    assert f"best.ckpt: is empty; the newest whole one is --ckpt_path {RUNS}/version_0/checkpoints/last.ckpt\n" in told
    for path in RUNS.glob("version_0/checkpoints/*"):
        path.unlink()
    assert "; there is no other" in refused("test", *WORDS)


class Recorder(TorchCheckpointIO):
    def save_checkpoint(self, checkpoint, path, storage_options=None):
        Path("recorded").touch()
        super().save_checkpoint(checkpoint, path, storage_options)


def test_a_users_own_way_to_write_checkpoints_is_kept(command_line):
    command_line("fit", *WORDS, "--trainer.plugins", "test_checkpoints.Recorder")
    assert Path("recorded").exists()


def test_what_a_killed_run_left_is_removed_an_hour_later(command_line):
    folder = RUNS / "version_0/checkpoints"
    folder.mkdir(parents=True)
    names = [".last-abcdefgh.ckpt", ".epoch=0-step=5-1_345678.ckpt", ".last-being_wr.ckpt", ".notes.ckpt"]
    for name in names:
        (folder / name).write_text("half")
    for name in [*names[:2], ".notes.ckpt"]:
        os.utime(folder / name, (0, time.time() - 2 * 3600))
    command_line("fit", *WORDS, "--trainer.max_epochs", "1")
    assert {file.name for file in folder.iterdir()} == set(names[2:])


class FullDisk(Callback):
    """Leave no room for a checkpoint after the first epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, most))


def test_a_full_disk_keeps_the_former_checkpoint(refused):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        told = refused("fit", *WORDS, "--trainer.callbacks+=test_checkpoints.FullDisk")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert f"{RUNS}/version_0/checkpoints/" in told
    assert told.endswith("ckpt cannot be written: File too large\n")
    assert last(0)["epoch"] == 0
    assert {file.name for file in (RUNS / "version_0/checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}


class Filler(Callback):
    """Leave little room on the disk after the first epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch == 1:
            room = os.statvfs(".")
            Path("filler").write_bytes(bytes(room.f_bavail * room.f_frsize - 30_000))


@pytest.fixture
def small_disk(tmp_path):
    words = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path]
    if subprocess.run(words, check=False, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    yield
    os.chdir("/")
    subprocess.run(["umount", "-l", tmp_path], check=True)


@pytest.mark.slow(seconds=5)
@pytest.mark.usefixtures("small_disk")
@pytest.mark.parametrize("scratch", ["/tmp", "/dev/shm"])
def test_a_really_full_disk_keeps_the_former_checkpoint(scratch, refused, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", scratch)
    told = refused("fit", *WORDS, "--trainer.callbacks+=test_checkpoints.Filler")
    assert f"{RUNS}/version_0/checkpoints/" in told
    assert told.endswith("ckpt cannot be written: No space left on device\n")
    assert last(0)["epoch"] == 0
    assert not is_damaged(RUNS / "version_0/checkpoints/best.ckpt")
    Path("filler").unlink()


class Progress(Callback):
    """Write down which epochs have begun."""

    def on_train_epoch_start(self, trainer, pl_module):
        with Path("begun").open("a") as file:
            file.write(f"{trainer.current_epoch}\n")


KILLS = int(os.environ.get("LOWRANK_UNROLL_KILLS", "16"))


def train(folder, words):
    os.chdir(folder)
    with Path("log").open("a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    sys.argv = ["lowrank-unroll", "fit", *map(str, words)]
    main()


def sizes(folder):
    """Return the sizes of the files in a folder that another process writes to."""
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        return {entry.name: entry.stat().st_size for entry in entries}
    return {}


def kill_while_writing(process, folder):
    """Kill a process as it replaces a checkpoint; whether the new one was not yet in its place."""
    while not (before := sizes(folder)).get("last.ckpt") and process.is_alive():
        time.sleep(0.01)
    while process.is_alive():
        with suppress(FileNotFoundError):
            if (now := sizes(folder)) != before:
                process.kill()
                return any(name not in before or size < before[name] for name, size in now.items())
    return False


def kill_some_time(process, folder, seconds):
    """Kill a process some time after it has saved a checkpoint."""
    while not sizes(folder).get("last.ckpt") and process.is_alive():
        time.sleep(0.01)
    time.sleep(seconds)
    process.kill()


@pytest.mark.slow(seconds=120)
def test_a_killed_training_goes_on_from_its_last_epoch(command_line, tmp_path, monkeypatch):
    """Killed again and again, each time resumed, it ends as one that was never killed."""
    monkeypatch.setenv("TMPDIR", "/dev/shm")  # on another file system, where it could not be renamed from
    words = [
        *WORDS,
        "--checkpoint.mode",
        "min",
        "--trainer.max_epochs",
        5 * KILLS // 2,
        "--trainer.limit_train_batches",
        "2",
    ]
    words += ["--model.network.features", "64", "--trainer.callbacks+=test_checkpoints.Progress"]
    command_line("fit", *words)
    draw, context, resume, hits, epochs = random.Random(0), forkserver(), [], 0, [0]
    for version in range(1, KILLS + 2):
        folder = tmp_path / RUNS / f"version_{version}/checkpoints"
        process = context.Process(target=train, args=(tmp_path, [*words, *resume]))
        process.start()
        if version > KILLS:
            pass  # it may finish
        elif version % 2:
            hits += kill_while_writing(process, folder)
        else:
            kill_some_time(process, folder, draw.uniform(0, 0.5))
        process.join()
        files = [file for file in folder.iterdir() if not file.name.startswith(".")]
        assert files
        assert not any(map(is_damaged, files))
        epochs.append(last(version)["epoch"])
        assert epochs[-1] >= int(Path("begun").read_text().split()[-1]) - 1
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL, Path("log").read_text()
        resume = ["--ckpt_path", "last"]
    assert process.exitcode == 0
    assert epochs == sorted(epochs)
    assert hits >= 3
    assert_ends_alike(last(0), last(version))
