"""Tests and predictions that are killed leave whole files only, and the next run completes."""

import csv
import json
import math
import os
import random
import signal
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import TINY_DYNAMIC
from PIL import Image
from support.forked import start_forked

KILLS = int(os.environ.get("LOWRANK_UNROLL_KILLS", "5"))  # of each command
WORDS = ["--config", "dynamic_mri/demo.yaml", *TINY_DYNAMIC]


def read_image(path):
    with Image.open(path) as image:
        image.load()


def read_hdf5(path):
    with h5py.File(path) as file:
        return file["series"][:]


READERS = {
    ".json": lambda path: json.loads(path.read_text()),
    ".csv": lambda path: list(csv.reader(path.read_text().splitlines())),
    ".png": read_image,
    ".gif": read_image,
    ".h5": read_hdf5,
    ".html": lambda path: path.read_text().rindex("</html>"),
}


def assert_whole(runs):
    """Everything that has its final name can be read to its end."""
    for folder in (*runs.glob("*/*/test"), *runs.glob("*/*/predictions")):
        for path in folder.rglob("[!.]*.*"):
            READERS[path.suffix](path)


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize("command", ["test", "predict"])
def test_what_a_killed_command_leaves_is_whole(command, command_line, tmp_path):
    command_line("fit", *WORDS)
    kspace = np.random.default_rng(0).normal(size=(6, 1, 3, 24, 20)) + 0j
    Path("scans").mkdir()
    for number, measured in enumerate(kspace):
        np.savez(f"scans/scan{number}.npz", kspace=measured)
    words = [command, *WORDS, "--trainer.limit_test_batches", "2"]
    words += ["--data.predict_kspace", "scans"] if command == "predict" else []
    draw, duration, killed = random.Random(0), 0.0, 0
    for number in range(KILLS + 2):
        started = time.monotonic()
        process = start_forked(tmp_path, words, "log")
        if number > 1:  # the first starts the fork server, the second tells how long one takes
            time.sleep(draw.uniform(0.1, 0.9) * duration)
            process.kill()
        process.join()
        assert process.exitcode in {0, -signal.SIGKILL}, Path("log").read_text()
        killed += process.exitcode != 0
        if process.exitcode == 0 and number:  # the fastest, for a busy machine may have slowed the others
            duration = min(duration or math.inf, time.monotonic() - started)
        assert_whole(tmp_path / "runs")
    assert killed >= KILLS // 2
    command_line(*words)
    assert_whole(tmp_path / "runs")
