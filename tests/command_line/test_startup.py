"""Nothing is imported before it is needed: PyTorch, Lightning and the libraries of pictures take seconds."""

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "lightning", "matplotlib", "scipy", "skimage", "wandb", "h5py", "sigpy", "pandas"}
LISTING = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def imported(*statements):
    """The packages that a new Python has imported after each of some statements."""
    words = [sys.executable, "-c", "\n".join(f"{statement}\n{LISTING}" for statement in statements)]
    printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return [set(json.loads(line)) for line in printed.splitlines() if line.startswith("[")]


def words_end(words):
    """Statements that run the command line until it exits."""
    return (
        f"import contextlib, sys; sys.argv[1:] = {words}; from lowrank_unroll.__main__ import main\n"
        "with contextlib.suppress(SystemExit): main()"
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["fit", "--help"], ["fitt"], []])
def test_help_needs_no_pytorch(words):
    assert not imported(words_end(words))[-1] & HEAVY


def test_linear_algebra_and_networks_need_only_pytorch():
    bare, linalg, networks = imported("import torch", "import lowrank_unroll.linalg", "import lowrank_unroll.networks")
    assert linalg - bare - sys.stdlib_module_names <= {"lowrank_unroll"}
    assert networks & HEAVY == {"torch"}


@pytest.mark.parametrize("command", ["list", "schema"])
def test_what_there_is_costs_no_pytorch_until_it_is_asked_for(command):
    assert "torch" not in imported(f"import sys; sys.argv[1:] = ['{command}']; import lowrank_unroll.__main__")[-1]


def test_comparing_needs_no_pytorch():
    assert not imported(words_end(["compare", "--help"]))[-1] & {"torch", "lightning", "wandb"}


def test_training_does_not_wait_for_what_it_may_not_need():
    words = ["fit", "--config", "color_cs/demo.yaml", "--print_config"]
    assert not imported(words_end(words))[-1] & {"wandb", "sigpy", "nibabel", "pydicom", "pooch", "requests", "pandas"}
