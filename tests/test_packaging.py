"""A wheel holds all that is needed, and nothing that would collide with others."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import TINY

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--outdir", folder, CHECKOUT], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.mark.slow
def test_wheel_has_two_packages_and_the_configs(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == {"lowrank_unroll", "datamodules"}
    assert "lowrank_unroll/configs/color_cs/demo.yaml" in names
    assert "lowrank_unroll/py.typed" in names


@pytest.mark.slow(seconds=25)
def test_installed_wheel_runs_from_an_empty_folder(wheel, tmp_path):
    library, empty = tmp_path / "library", tmp_path / "empty"
    empty.mkdir()
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", library, wheel]
    subprocess.run(install, check=True)
    environment = {**os.environ, "PYTHONPATH": str(library)}
    where = [sys.executable, "-c", "import lowrank_unroll, datamodules; print(lowrank_unroll.__file__)"]
    found = subprocess.run(where, cwd=empty, env=environment, check=True, capture_output=True, text=True).stdout
    assert found.startswith(str(library))
    for subcommand in ("fit", "test"):
        words = [sys.executable, "-m", "lowrank_unroll", subcommand, "--config", "color_cs/demo.yaml", *TINY]
        finished = subprocess.run(words, cwd=empty, env=environment, check=False, capture_output=True, text=True)
        assert finished.returncode == 0, finished.stderr
    assert (empty / "runs/color_cs_demo/version_1/test/report.html").exists()
