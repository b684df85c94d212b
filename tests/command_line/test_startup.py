"""Nothing is imported before it is needed: PyTorch, Lightning and the libraries of pictures take seconds."""

import json
import subprocess
import sys

import pytest

from datamodules.measured.ismrmrd.sandbox import LIGHT_PACKAGE

HEAVY = {"torch", "lightning", "matplotlib", "scipy", "skimage", "wandb", "h5py", "sigpy", "pandas"}
LISTING = "import json, sys; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"


def imported(*statements):
    """Return the packages that a new Python process has imported after each statement."""
    words = [sys.executable, "-c", "\n".join(f"{statement}\n{LISTING}" for statement in statements)]
    printed = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return [set(json.loads(line)) for line in printed.splitlines() if line.startswith("[")]


def run_until_exit(words):
    """Return statements that run the command line until it exits."""
    return (
        f"import contextlib, sys; sys.argv[1:] = {words}; from lowrank_unroll.__main__ import main\n"
        "with contextlib.suppress(SystemExit): main()"
    )


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["fit", "--help"], ["fitt"], []])
def test_help_needs_no_pytorch(words):
    assert not imported(run_until_exit(words))[-1] & HEAVY


def test_linear_algebra_and_networks_need_only_pytorch():
    bare, linalg, networks = imported("import torch", "import lowrank_unroll.linalg", "import lowrank_unroll.networks")
    assert linalg - bare - sys.stdlib_module_names <= {"lowrank_unroll"}
    assert networks & HEAVY == {"torch"}


@pytest.mark.parametrize("command", ["list", "schema"])
def test_lists_import_pytorch_only_when_they_run(command):
    assert "torch" not in imported(f"import sys; sys.argv[1:] = ['{command}']; import lowrank_unroll.__main__")[-1]


def test_checks_of_raw_files_need_no_pytorch():
    start = f"{LIGHT_PACKAGE}from datamodules.measured.ismrmrd import sandbox"
    assert not imported(start)[-1] & {"torch", "lightning"}


@pytest.mark.slow
def test_compare_needs_no_pytorch():
    assert not imported(run_until_exit(["compare", "--help"]))[-1] & {"torch", "lightning", "wandb"}


@pytest.mark.slow
def test_training_imports_no_optional_package():
    words = ["fit", "--config", "color_cs/demo.yaml", "--print_config"]
    assert not imported(run_until_exit(words))[-1] & {
        "wandb",
        "sigpy",
        "nibabel",
        "pydicom",
        "pooch",
        "requests",
        "pandas",
    }
