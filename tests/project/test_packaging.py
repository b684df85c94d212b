"""A wheel holds all that is needed, and nothing that would collide with others."""

import ast
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from conftest import TINY
from jinja2 import Template
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from test_architecture import imported_names

from lowrank_unroll import __version__

CHECKOUT = Path(__file__).parents[2]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
COLLECTIONS = {"test", "docs", "dev", "interop"}


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


def requirements(extras):
    """Return the requirements of pyproject.toml, by name."""
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in PROJECT["optional-dependencies"][extra])]
    return {canonicalize_name(requirement.name): requirement for requirement in map(Requirement, lines)}


def optional_names(file):
    """Yield the dotted names that a file imports by `import_extra`, each split at its dots."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Call(func=ast.Name(id="import_extra"), args=[ast.Constant(value=str(name)), *_]):
                yield name.split(".")


@pytest.mark.slow
def test_each_requirement_is_imported_and_each_import_is_required():
    installed = packages_distributions()
    files = [*(CHECKOUT / "lowrank_unroll").rglob("*.py"), *(CHECKOUT / "datamodules").rglob("*.py")]
    modules = {name for file in files for name, *_ in [*imported_names(file), *optional_names(file)]}
    foreign = modules - sys.stdlib_module_names - {"lowrank_unroll", "datamodules", "cuda"}
    imported = {canonicalize_name(name) for module in foreign for name in installed.get(module, [module])}
    # This one is required for the releases that are excluded; `cuda` comes with PyTorch where that is for CUDA.
    imported.add("pytorch-lightning")
    imported.add("tensorly")  # of which a file is read
    assert requirements(PROJECT["optional-dependencies"].keys() - COLLECTIONS).keys() == imported


def recipe():
    """Return the recipe of the conda package."""
    text = (CHECKOUT / "recipe/meta.yaml").read_text()

    def load_file_regex(file, pattern):
        return re.search(pattern, (CHECKOUT / file).read_text())

    return yaml.safe_load(Template(text).render(load_file_regex=load_file_regex))


def test_the_recipe_of_conda_requires_what_the_project_does():
    assert recipe()["package"]["version"] == __version__
    for_pip = {"pytorch": "torch", "matplotlib-base": "matplotlib"}
    of_extras = {"python", "docstring-parser", "typeshed-client", "tqdm"}
    lines = (line.split(" ", 1) for line in recipe()["requirements"]["run"])
    named = {for_pip.get(name, canonicalize_name(name)): SpecifierSet(versions) for name, versions in lines}
    assert {name: named[name] for name in named.keys() - of_extras} == {
        name: requirement.specifier for name, requirement in requirements([]).items()
    }


def test_pinned_versions_are_allowed():
    lines = (CHECKOUT / "constraints.txt").read_text().splitlines()[1:]
    pinned = {canonicalize_name(name): version for name, version in (line.split("==") for line in lines)}
    required = requirements(PROJECT["optional-dependencies"])
    del required["lowrank-unroll"]  # itself
    for name, requirement in required.items():
        assert pinned[name] in requirement.specifier, name
