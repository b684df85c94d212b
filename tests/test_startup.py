"""Nothing is imported before it is needed: PyTorch, Lightning and the libraries of pictures take seconds."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "lightning", "matplotlib", "scipy", "skimage", "wandb", "h5py", "sigpy", "pandas"}
LISTING = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def imported(*statements):
    """The packages that a new Python has imported after some statements."""
    words = [sys.executable, "-c", "\n".join([*statements, LISTING])]
    printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return set(json.loads(printed.splitlines()[-1]))


def words_end(words):
    """Statements that run the command line until it exits."""
    return (
        f"import contextlib, sys; sys.argv[1:] = {words}; from lowrank_unroll.__main__ import main\n"
        "with contextlib.suppress(SystemExit): main()"
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["fitt"], []])
def test_help_needs_no_pytorch(words):
    assert not imported(words_end(words)) & HEAVY


def test_linear_algebra_needs_only_pytorch():
    bare = imported("import torch")
    assert imported("import lowrank_unroll.linalg") - bare <= {"lowrank_unroll"}


def test_networks_need_only_pytorch():
    assert imported("import lowrank_unroll.networks") & HEAVY == {"torch"}


@pytest.mark.parametrize("command", ["list", "schema"])
def test_what_there_is_costs_no_pytorch_until_it_is_asked_for(command):
    assert "torch" not in imported(f"import sys; sys.argv[1:] = ['{command}']; import lowrank_unroll.__main__")


def test_comparing_needs_no_pytorch():
    assert not imported(words_end(["compare", "--help"])) & {"torch", "lightning", "wandb"}


def test_training_does_not_wait_for_what_it_may_not_need():
    words = ["fit", "--config", "color_cs/demo.yaml", "--print_config"]
    assert not imported(words_end(words)) & {"wandb", "sigpy", "nibabel", "pydicom", "pooch", "requests", "pandas"}
