import functools
import multiprocessing
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from hypothesis import settings
from jsonargparse import _typehints
from matplotlib.figure import Figure
from support.forked import forkserver

from datamodules.measured import kspace_files
from datamodules.measured.ismrmrd import sandbox
from datamodules.photographs.image_files import Images
from datamodules.photographs.sample_photos import sample_photos
from datamodules.scanners import prepared_files
from lowrank_unroll.__main__ import main

settings.register_profile("project", deadline=None, max_examples=25, derandomize=True)
settings.load_profile("project")

# Words that make any colour config, any config of dynamic MRI, and any baseline of that finish within seconds.
ONE_PASS = [
    *("--trainer.max_epochs", "1", "--trainer.limit_train_batches", "2", "--trainer.limit_val_batches", "1"),
    *("--trainer.limit_test_batches", "1", "--trainer.log_every_n_steps", "1", "--trainer.accelerator", "cpu"),
    *("--data.num_workers", "0", "--report.untrained", "[]", "--pictures.samples", "0"),
]
SHORT = [*ONE_PASS, "--model.network.init_args.iterations", "2"]
SMALL_NETWORK = ["--model.network.init_args.features", "4"]
TINY_PATCHES = ["--data.batch_size", "2", "--data.patch_size", "16"]
TINY = [*SHORT, *SMALL_NETWORK, *TINY_PATCHES]
TINY_VIDEOS = ["--data.size", "[6,12,10]", "--data.test_series", "2"]
TINY_CUBES = ["--data.size", "[16,16,16]", "--data.train_cubes", "1", "--data.patches_per_cube", "4"]
SMALL_SERIES = [
    *("--data.size", "[3,24,20]", "--data.frames", "3", "--data.crop", "[24,20]"),
    *("--data.train_series", "2", "--data.val_series", "1"),
    *("--data.test_series", "2", "--data.crops_per_cine", "1"),
]
TINY_SERIES = [*SHORT, *SMALL_SERIES]
TINY_BASELINE = [*TINY_SERIES, "--data.pattern.lines", "5"]
TINY_DYNAMIC = [*TINY_BASELINE, *SMALL_NETWORK, "--model.network.start", "ZeroFilled"]
PRETRAINED = {"color_cs/pretrained.yaml", "dynamic_mri/pretrained.yaml"}
UNTRAINED = {
    "color_cs/non_local_low_rank.yaml",
    "dynamic_mri/nuclear_norm.yaml",
    "dynamic_mri/locally_low_rank.yaml",
    "spectral_cs/low_rank.yaml",
    "low_rank_plus_sparse/robust_pca.yaml",
    "denoising/mppca.yaml",
}
WITHOUT_ITERATIONS = {"color_cs/unet.yaml"}
ALONG_TRAJECTORIES = {"dynamic_mri/radial.yaml"}


def tiny(config):
    """The words for a config of the collection."""
    if config in WITHOUT_ITERATIONS:
        return [*ONE_PASS, *SMALL_NETWORK, *TINY_PATCHES, "--model.network.start", "ZeroFilled"]
    if config.startswith("denoising/"):
        return [*ONE_PASS, *SMALL_SERIES] if config in UNTRAINED else [*TINY_SERIES, *SMALL_NETWORK]
    if config.startswith("low_rank_plus_sparse/"):
        words = [*SHORT, *TINY_VIDEOS]
    elif config.startswith(("color_cs/", "spectral_cs/")):
        words = [*SHORT, *TINY_PATCHES] if config in UNTRAINED else TINY
        words = [*words, *TINY_CUBES] if config.startswith("spectral_cs/") else words
    elif config in ALONG_TRAJECTORIES:
        start = ["--model.network.start", "ZeroFilled"]
        words = [*TINY_SERIES, "--data.pattern.spokes", "5", *SMALL_NETWORK, *start]
    else:
        words = TINY_BASELINE if config in UNTRAINED else TINY_DYNAMIC
    return [*words, "--model.weights", "null"] if config in PRETRAINED else words


def quiet_trainer(**kwargs):
    """A trainer that only trains."""
    return L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, limit_val_batches=0, **kwargs,
    )  # fmt: skip


def same(one, other):
    """Return whether two parts of checkpoints are equal to the bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _subclasses_are_listed_once():
    """For each name of a class, jsonargparse lists all subclasses, of modules by the thousand.

    No test adds one without a module, but in a function, where jsonargparse does not look.
    """
    listed, by_types = _typehints.get_all_subclass_paths, {}

    def get_all_subclass_paths(*types, **choices):
        key = (types, tuple(choices.items()), len(sys.modules))
        if key not in by_types:
            by_types[key] = listed(*types, **choices)
        return by_types[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_typehints, "get_all_subclass_paths", get_all_subclass_paths)
        yield


@pytest.fixture(autouse=True, scope="session")
def _no_wait_for_the_disk():
    """Tests lose nothing in a power failure, and would wait for the disk longer than they compute."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def save_empty_figures(patch):
    """Save figures without what is on them: drawing takes as long as a short training, for tests of something else."""
    save = Figure.savefig

    def save_empty(figure, *arguments, **keywords):
        save(Figure((1, 1)), *arguments, **keywords)

    patch.setattr(Figure, "savefig", save_empty)


@functools.cache
def small_photos(split):
    """Return the bundled photographs with every fourth pixel of a row and a column."""
    photos = sample_photos(split)
    return Images([pixels[::4, ::4] for pixels in photos.pixels], photos.names)


@pytest.fixture
def empty_figures(monkeypatch):
    """Also test on small photographs, which take as long as figures."""
    save_empty_figures(monkeypatch)
    monkeypatch.setattr("datamodules.photographs.sample_photos.sample_photos", small_photos)


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


@pytest.fixture
def refused(command_line, capsys):
    """Run words that the command line is to refuse; what it says then."""

    def run(*words, codes=(1, 2)):
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            command_line(*words)
        assert stop.value.code in codes
        return capsys.readouterr().err.partition("lowrank-unroll: ")[2]

    return run


def pytest_configure(config):
    # Inherited by the workers of pytest-xdist, which keep all cores busy, and by what tests start: more threads than
    # cores would only wait for each other.
    if workers := config.getoption("numprocesses", None):
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, os.cpu_count() // workers)))


@pytest.hookimpl(trylast=True)  # after what was not chosen has been left out
def pytest_collection_modifyitems(items):
    """The longest first, so that no worker is left alone with one at the end.

    Each is followed by a short one, since pytest-xdist hands out tests in pairs.
    """

    def seconds(item):
        return max((named(*mark.args, **mark.kwargs) for mark in item.iter_markers("slow")), default=0)

    def named(*, seconds=0):  # refuses `slow(150)`, which would be overlooked
        return seconds

    long = sorted(filter(seconds, items), key=seconds, reverse=True)
    short = [item for item in items if not seconds(item)]
    pairs = [item for pair in zip(long, short, strict=False) for item in pair]
    items[:] = pairs + long[len(short) :] + short[len(long) :]


@pytest.fixture
def forked_preparation(monkeypatch):
    """Prepare raw data in processes that need not import; spawned ones do, for longer than they prepare."""
    monkeypatch.setattr(prepared_files, "multiprocessing", SimpleNamespace(get_context=lambda _: forkserver()))


@pytest.fixture
def sandbox_in_this_process(monkeypatch):
    """Check raw files in this process, which has imported all; test_raw_series.py checks them in another."""

    def select_raw_files(files):
        receiver, sender = multiprocessing.Pipe(duplex=False)
        sandbox._check_all(files, sender)
        return [file for file in files if sandbox._is_raw(file, receiver)]

    monkeypatch.setattr(kspace_files, "select_raw_files", select_raw_files)
