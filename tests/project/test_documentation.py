"""The README and the documentation: links lead somewhere, code runs, and commands are understood."""

import importlib
import re
import shlex
import shutil
import sys
import tomllib
from pathlib import Path
from textwrap import dedent

import pytest
from conftest import SHORT, SMALL_NETWORK, TINY_PATCHES, save_empty_figures, tiny
from support.libraries import import_or_skip

from lowrank_unroll.__main__ import main
from lowrank_unroll.command_line.configs import config_names
from lowrank_unroll.studies import read_study

CHECKOUT = Path(__file__).parents[2]
FILES = [
    *(CHECKOUT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *(CHECKOUT / "lowrank_unroll/weights").glob("*.md"),
    *(file for file in (CHECKOUT / "docs").rglob("*.md") if "_build" not in file.parts),
]
PAGES = {file.relative_to(CHECKOUT).as_posix(): file.read_text() for file in sorted(FILES)}
LINKS = [
    (page, link.partition("#")[0])
    for page, text in PAGES.items()
    for link in re.findall(r"\]\(([^)]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    if not link.startswith(("http", "#", "../../actions/"))  # of the workflows, on GitHub
]


def blocks(page, language):
    """The code of a page in a language; blocks inside of lists are indented."""
    return [dedent(block) for block in re.findall(rf"```{language}\n(.*?)```", PAGES[page], re.DOTALL)]


def commands(page, program):
    """The words behind a program, of each line of the page's blocks, and of each command in the text, that calls it."""
    lines = "\n".join(blocks(page, "bash")).replace("\\\n", " ").splitlines()
    lines += re.findall(r"`(lowrank-unroll (?:fit|test|predict|prepare) [^`]+)`", PAGES[page])
    for line in lines:
        for part in line.split(" && "):
            if program in part:
                yield tuple(shlex.split(part.partition(program)[2], comments=True))


PROGRAMS = ("lowrank-unroll ", "torchrun")
COMMANDS = {words: page for page in PAGES for program in PROGRAMS for words in commands(page, program)}
HOW_TO = [page for page in PAGES if any(commands(page, "-m lowrank_unroll")) and page.startswith("docs/how_to/")]
WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]


@pytest.mark.parametrize(("page", "link"), LINKS)
def test_links_lead_somewhere(page, link):
    assert (CHECKOUT / page).parent.joinpath(link).exists()


def test_named_configs_are_in_the_collection():
    named = set(re.findall(r"--config ([a-z_]+/[a-z0-9_]+\.yaml)", "\n".join(PAGES.values())))
    assert named
    assert named <= set(config_names())


def test_every_config_is_named():
    page = PAGES["docs/how_to/run.md"]
    assert all(f"`{name}`" in page for name in config_names())


def test_named_extras_exist():
    known = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = re.findall(r"(?:lowrank-unroll|\.)\[([a-z,]+)\]", "\n".join(PAGES.values()))
    assert named
    assert {extra for names in named for extra in names.split(",")} <= known.keys()


@pytest.mark.parametrize("page", PAGES)
def test_named_scripts_exist(page):
    for script in re.findall(r"(?<!/)\b(?:benchmarks|examples)/\w+\.py", PAGES[page]):
        assert (CHECKOUT / script).exists()


@pytest.mark.parametrize("page", [page for page in PAGES if "lines:\n" in PAGES[page]])
def test_the_length_of_code_is_as_said(page):
    said = [(name, int(lines)) for name, lines in re.findall(r"`(my_\w+\.py)`, (\d+) lines:", PAGES[page])]
    assert said == [(name, len(code.splitlines())) for name, code in own_files(page)]


def own_files(page, language="python"):
    """Name and content of the files that a page says to write: blocks that begin with a comment of the name."""
    for block in blocks(page, language):
        if name := re.match(r"# (my_\w+\.py|\w+\.yaml)\n", block):
            yield name[1], block[name.end() :]


@pytest.fixture(scope="module")
def finished_runs(tmp_path_factory):
    """A folder with the configs of all pages, in which the demos and an iterative method have been run."""
    folder = tmp_path_factory.mktemp("documentation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        save_empty_figures(patch)
        for name, subcommands in {
            "color_cs/demo.yaml": ("fit",),
            "dynamic_mri/demo.yaml": ("fit", "test"),
            "dynamic_mri/nuclear_norm.yaml": ("test",),
        }.items():
            for subcommand in subcommands:
                patch.setattr(sys, "argv", ["lowrank-unroll", subcommand, "--config", name, *tiny(name)])
                main()
        for page in PAGES:
            for name, config in own_files(page, "yaml"):
                Path(name).write_text(config)
    return folder


@pytest.fixture
def place(finished_runs, monkeypatch):
    """The folder of finished runs, from which modules are imported, too."""
    monkeypatch.chdir(finished_runs)
    monkeypatch.syspath_prepend(finished_runs)
    return finished_runs


@pytest.fixture
def said(monkeypatch, capsys):
    """Run words as `lowrank-unroll` would, in this process; what it prints."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["lowrank-unroll", *words])
        main()
        return capsys.readouterr().out

    return run


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: f"{COMMANDS[words]}: {' '.join(words)}")
def test_commands_are_understood(words, place, said):
    if "lowrank_unroll" in words:  # behind torchrun
        words = words[words.index("lowrank_unroll") + 1 :]
    words = [word.replace("EXPERIMENT", "dynamic_mri/demo.yaml") for word in words]
    if words[0] == "study":
        assert "--help" in words or list(read_study(CHECKOUT / words[1]).cells())
    elif words[0] == "phantom":
        assert f"Raw data: {words[1]}" in said(*words, "--size", "3", "24", "20")
    elif words[0] == "compare":
        assert "Picture: comparison.png" in said(*words)
    elif words[0] in {"list", "schema"}:
        assert said(*words[: words.index(">")] if ">" in words else words)
    else:
        asks_for_help = any(word.endswith("help") for word in words)
        with pytest.raises(SystemExit) as stop:
            said(*words, *([] if asks_for_help else ["--print_config"]))
        assert stop.value.code in {0, None}


def run_python(page, folder):
    """Run the blocks of a page one after the other, as a reader would; its files are written first."""
    for name, config in own_files(page, "yaml"):
        (folder / name).write_text(config)
    for name, code in own_files(page):
        (folder / name).write_text(code)
        sys.modules.pop(name.removesuffix(".py"), None)
        importlib.import_module(name.removesuffix(".py"))
    names = {}
    for block in blocks(page, "python"):
        if not re.match(r"# my_\w+\.py\n", block):
            exec(compile(block, page, "exec"), names)
    return names


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_python_runs(page, place):
    for library in re.findall(
        r"^(?:import|from) (deepinv|mrpro|bartorch)\b", "\n".join(blocks(page, "python")), re.MULTILINE
    ):
        import_or_skip(library)
    shutil.copy(CHECKOUT / "examples/super_resolution.py", place)
    assert run_python(page, place) or list(own_files(page))


def test_the_readme_prints_what_it_says(capsys, tmp_path):
    run_python("README.md", tmp_path)
    assert capsys.readouterr().out == "tensor([1.8000, 1.8000, 1.8000, 1.8000])\ntensor([nan, nan, nan, nan])\n"


def test_the_example_of_a_shrinkage_has_the_gradient_it_says(capsys, place):
    run_python("docs/how_to/shrinkage.md", place)
    assert capsys.readouterr().out == "tensor([1., 1., 1., 1.])\ntensor(-2.)\n"


def few(words):
    """Return arguments that make a command of a page short; fewer for networks and data of one's own."""
    short = [*SHORT, "--trainer.max_epochs", "2", *([] if "--model.network" in words else SMALL_NETWORK)]
    if {"my_measurements.Measurements", "my_camera.yaml"} & set(words):
        return [*short, "--data.batch_size", "2"]
    if "color_cs/demo.yaml" in words:
        return [*short, *TINY_PATCHES]
    sizes = [] if "--data" in words else ["--data.size", "[3,24,20]", "--data.train_series", "2"]
    return [*short, *sizes, "--data.frames", "3", "--data.crop", "[24,20]", "--model.network.start", "ZeroFilled"]


@pytest.mark.slow(seconds=30)
@pytest.mark.parametrize("page", HOW_TO)
def test_code_of_ones_own_trains_and_tests(page, tmp_path, monkeypatch, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    shutil.copy(CHECKOUT / "examples/super_resolution.py", tmp_path)
    run_python(page, tmp_path)
    for words in commands(page, "-m lowrank_unroll"):
        said(*words, *few(words))
    tables = list(tmp_path.glob("runs/*/*/test/metrics.csv"))
    assert tables
    assert all((",mae," in table.read_text()) == ("mae" in PAGES[page]) for table in tables)
