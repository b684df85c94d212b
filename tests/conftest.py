import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from lowrank_unroll.__main__ import main

settings.register_profile("project", deadline=None, max_examples=50, derandomize=True)
settings.load_profile("project")

# Words that make any colour config finish within seconds.
TINY = [
    *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "1"),
    *("--trainer.limit_test_batches", "1", "--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu"),
    *("--data.batch_size", "2", "--data.patch_size", "16", "--data.num_workers", "0"),
    *("--model.network.init_args.iterations", "2", "--model.network.init_args.features", "4"),
]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture
def reference_vectors():
    def load(name):
        return np.load(Path(__file__).parent / "reference_vectors" / f"{name}.npz")

    return load


@pytest.fixture
def command_line(monkeypatch, tmp_path):
    """Run words as `lowrank-unroll` would, in an empty folder and in this process."""
    monkeypatch.chdir(tmp_path)

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["lowrank-unroll", *map(str, words)])
        main()

    return run
