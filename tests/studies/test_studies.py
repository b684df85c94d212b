"""Studies run their unfinished cells, and tables hold the results."""

import csv
import io
import itertools
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from conftest import TINY_DYNAMIC
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from matplotlib.image import imread
from scipy import stats

from lowrank_unroll.errors import DIVERGED, DataError, UsageError
from lowrank_unroll.reports import Evaluation, Heading, SampleResult
from lowrank_unroll.studies import (
    Row,
    Study,
    as_csv,
    as_markdown,
    comparison_figure,
    heading_of,
    outcomes,
    read_study,
    rows_of,
    running,
    speed_figure,
)

STUDIES = sorted((Path(__file__).parents[2] / "studies").glob("*.yaml"))
STUDY = """
common: --config dynamic_mri/demo.yaml
methods:
  exact: ""
  inv: --model.network.gradient pinv
conditions:
  few: [--data.pattern.lines, 4]
  many: --data.pattern.lines 8
seeds: [3, 5]
"""
TAG = re.compile("<.*?>")


@pytest.fixture
def study(tmp_path):
    def read(text=STUDY):
        file = tmp_path / "gradients.yaml"
        file.write_text(text)
        return read_study(file)

    return read


def pretend(folder, cell, values, untrained=0.0, untrained_name="Interpolation"):
    """Write the results of the test of a cell, without running it."""
    samples = [
        SampleResult(f"image{index}", "synthetic", "", 1.0, {"psnr": value}, {"psnr": 0.0},
                     {untrained_name: {"psnr": untrained + index}}, {"reconstruction": 0.5, untrained_name: 0.1})
        for index, value in enumerate(values)
    ]  # fmt: skip
    Evaluation("run", "Net", 1, 3407, None, "", {}, samples).write(folder / cell.label / "runs" / "version_1" / "test")


def test_cells_are_every_method_under_every_condition_with_every_seed(study):
    cells = list(study().cells())
    assert len({cell.label for cell in cells}) == len(cells) == 8
    assert cells[0].words == ("--config", "dynamic_mri/demo.yaml", "--data.pattern.lines", "4")
    assert cells[-1].words[-2:] == ("--model.network.gradient", "pinv")
    assert [cell.seed for cell in cells] == [3] * 4 + [5] * 4  # something of everything first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("common: x", "expected `methods:`"),
        ("methods: {a: ''}\nseed: [1]", "has seed, expected"),
        ("methods: {a: ''}\nseeds: [1, 1]", "different whole numbers"),
        ("methods: {a: ''}\nseeds: 3", "different whole numbers"),
        ("methods: {a: ''}\nreference: b", "expected one of a"),
        ("methods: {a: 3}", "expected words"),
        ('methods: {a: "\'"}', "No closing quotation"),
        ("methods: [", "is no YAML"),
        ("methods: {a: x, a: y}", "has 'a' twice, in line 1 and line 1"),
        ("methods: {a: ''}\nseeds: [0]\nseeds: [1]", "has 'seeds' twice, in line 2 and line 3"),
        ("methods: {true: x, 'True': y}", "methods has a name twice"),
        ("methods: {a: ''}\nconditions: {.1: x, '0.1': y}", "conditions has a name twice"),
        ('methods: {"a\\0b": x}', "can be no folder"),
        ('methods: {"\\e[31m": x}', "can be no folder"),
        (f"methods: {{{'a' * 250}: x}}", "can be no folder"),
    ],
)
def test_what_is_no_study_is_refused(study, text, message):
    with pytest.raises(UsageError, match=message):
        study(text)


@pytest.mark.parametrize(
    "cells",
    [
        "methods: {CNN/SVT: x, CNN-SVT: y}",
        "methods: {'a, b': x, a: y}\nconditions: {c: x, 'b, c': y}",
        "methods: {Net: x, net: y}",
        "methods: {Stra\u00dfe: x, STRASSE: y}",
        "methods: {\u00e9: x, e\u0301: y}",
    ],
)
def test_cells_that_would_share_a_folder_are_refused(study, cells):
    with pytest.raises(UsageError, match="would share the folder"):
        study(cells)


def test_a_reference_is_a_name_whatever_yaml_makes_of_it(study):
    assert study("methods: {1: x, 2: y}\nreference: 2").reference == "2"


HOSTILE = {
    "=cmd|' /C calc'!A0": "",
    "a|b <script>alert(1)</script> & &amp; `x` *y* _z_ [l](u) ~~s~~ a_b \\": "",
    r"$\frac{$": "",
    "[/x] [bold :heart:": "",
    "$": "",
}


@pytest.fixture
def hostile():
    methods = {name: (f"--number={number}",) for number, name in enumerate(HOSTILE)}
    return Study("s", (), methods, dict.fromkeys(HOSTILE, ()), (0,), "<metric>|", next(iter(HOSTILE)))


@pytest.mark.slow
def test_any_name_is_shown_as_it_is(hostile, tmp_path):
    for cell in hostile.cells():
        pretend(tmp_path, cell, [1, 2], untrained_name="\x1b[31m=1|<b>")
    rows = rows_of(hostile, list(outcomes(hostile, tmp_path)))
    page = MarkdownIt("commonmark").enable("table").render(as_markdown(hostile, rows))
    shown = [unescape(TAG.sub("", cell)) for cell in re.findall("<t[hd]>(.*)</t[hd]>", page)]
    assert len(set(re.findall("<[a-z]+", page)) - {"<table", "<thead", "<tbody", "<tr", "<th", "<td"}) == 0
    assert set(HOSTILE) | {"<metric>|", r"\x1b[31m=1|<b>, untrained"} <= set(shown)
    table = list(csv.reader(io.StringIO(as_csv(rows))))
    assert len(table) == len(rows) + 1
    assert not any(cell.startswith(("=", "@")) for line in table for cell in line)
    for draw in (comparison_figure, speed_figure):
        draw(hostile, rows, Heading("<psnr>", higher_is_better=True)).savefig(tmp_path / "figure.png")


def test_the_command_prints_any_name(command_line, tmp_path, monkeypatch, capsys):
    methods = "\n".join(f"  {json.dumps(name)}: --x" for name in HOSTILE)
    (tmp_path / "a.yaml").write_text(f"methods:\n{methods}\nseeds: [0]")
    run_with(monkeypatch, [DIVERGED] * len(HOSTILE))
    command_line("study", "a.yaml", "--folder", "[/found]")
    told = capsys.readouterr().out
    assert r"\[/x\] \[bold :heart:" in told
    assert "Table and figures: [/found]/results.md" in told


def test_studies_of_one_name_keep_their_folders(command_line, refused, tmp_path, monkeypatch):
    called = run_with(monkeypatch, [DIVERGED] * 3)
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.yaml").write_text(f"methods: {{{folder}: --x}}\nseeds: [0]")
    command_line("study", "one/a.yaml")
    before = (tmp_path / "runs/studies/a/results.csv").read_bytes()
    told = refused("study", "other/a.yaml")
    assert re.match(r"runs/studies/a has the results of another study, \S*one/a\.yaml: give another --folder", told)
    assert (tmp_path / "runs/studies/a/results.csv").read_bytes() == before
    (tmp_path / "one").rename(tmp_path / "moved")
    (tmp_path / "moved/a.yaml").write_text("methods: {one: --x, two: --y}\nseeds: [0]")  # a study that grows
    command_line("study", "moved/a.yaml")
    assert len(called) == 2


@pytest.mark.parametrize("words", [b"", b"'unclosed", b"\xff\xfe"])
def test_damaged_words_are_other_words(study, tmp_path, words):
    cell = next(iter(study().cells()))
    (tmp_path / cell.label).mkdir()
    (tmp_path / cell.label / "words.txt").write_bytes(words)
    with pytest.raises(UsageError, match="was run with other words"):
        running.check_words(tmp_path, cell)


def test_table_has_means_spreads_and_paired_differences(study, tmp_path):
    values = {("exact", 3): [30, 31, 32.5], ("exact", 5): [30.5, 31, 33], ("inv", 3): [29, 31, 31]}
    for cell in study().cells():
        if cell.condition == "few" and (cell.method, cell.seed) in values:
            pretend(tmp_path, cell, values[cell.method, cell.seed], untrained=20)
    rows = rows_of(study(), list(outcomes(study(), tmp_path)))
    exact, inv, interpolation, *unfinished = rows
    assert exact.mean == pytest.approx(np.mean([[30, 31, 32.5], [30.5, 31, 33]]))
    assert exact.spread == pytest.approx(np.std([31.1666667, 31.5], ddof=1))
    assert (exact.seeds, exact.difference, exact.seconds) == (2, None, 0.5)
    differences = np.subtract(values["inv", 3], values["exact", 3])  # only the seed that both have
    assert inv.difference.mean == pytest.approx(differences.mean())
    half = stats.t.ppf(0.975, 2) * differences.std(ddof=1) / np.sqrt(3)
    assert inv.difference.high - inv.difference.mean == pytest.approx(half)
    assert (inv.seeds, inv.spread) == (1, None)
    expected = np.mean(np.subtract([20, 21, 22], [[30, 31, 32.5], [30.5, 31, 33]]))
    assert (interpolation.method, interpolation.difference.mean) == (
        "Interpolation, untrained",
        pytest.approx(expected),
    )
    assert [(row.condition, row.mean, row.seeds) for row in unfinished] == [("many", None, 0)] * 2
    assert heading_of(study(), []).text == "psnr"
    markdown = as_markdown(study(), rows, Heading("PSNR", "dB")).splitlines()
    assert markdown[0].startswith("| condition | method | PSNR, dB |")
    assert len({line.count("|") for line in markdown}) == 1
    assert "| few | exact | 31.33 (0.236) | - | 2 | 0 | 0.500 |" in markdown
    assert len(as_csv(rows).splitlines()) == len(rows) + 1
    for draw in (comparison_figure, speed_figure):
        draw(study(), rows).savefig(tmp_path / "figure.png")
        assert imread(tmp_path / "figure.png")[..., :3].std() > 0.05


@given(st.lists(st.tuples(st.floats(20, 40), st.floats(0.1, 9)), min_size=1, max_size=8, unique=True), st.booleans())
def test_the_figure_names_what_no_faster_method_equals(measured, higher_is_better):
    rows = [
        Row("", f"method {index}", 1, 0, mean, None, None, None, 7, seconds)
        for index, (mean, seconds) in enumerate(measured)
    ]
    defined = Study("a", (), {row.method: () for row in rows}, {"": ()}, (0,), "method 0", "psnr")
    (axes,) = speed_figure(defined, rows, Heading("PSNR", "dB", higher_is_better)).axes
    named = {text.get_text().partition("  ")[2] for text in axes.get_legend().get_texts()}
    for row in rows:
        faster = [other.mean for other in rows if other is not row and other.seconds <= row.seconds]
        better = [mean for mean in faster if (mean >= row.mean if higher_is_better else mean <= row.mean)]
        assert (row.method in named) == (not better)


@pytest.mark.parametrize("apart", [0.01, 0.2, 0.5])
def test_numbers_of_the_front_do_not_cover_each_other(apart):
    rows = [
        Row("", f"a method with a long name, {index}", 1, 0, 30 + apart * index, None, None, None, 7, 1 + apart * index)
        for index in range(12)
    ]
    defined = Study("a", (), {row.method: () for row in rows}, {"": ()}, (0,), rows[0].method, "psnr")
    figure = speed_figure(defined, rows, Heading("PSNR", "dB", higher_is_better=True))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 12
    assert not any(one.padded(-2).overlaps(other.padded(-2)) for one, other in itertools.combinations(boxes, 2))


def test_a_mean_that_is_not_finite_is_not_drawn():
    rows = [Row("", name, 1, 0, mean, None, None, None, 7, mean) for name, mean in (("a", math.nan), ("b", 3.0))]
    defined = Study("a", (), {"a": (), "b": ()}, {"": ()}, (0,), "a", "psnr")
    (axes,) = speed_figure(defined, rows, Heading("PSNR", "dB", higher_is_better=True)).axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["trained", "untrained", "1  b"]


def test_parameters_stand_where_they_differ(study, tmp_path):
    rows = [row._replace(parameters=7, mean=1.0) for row in rows_of(study(), list(outcomes(study(), tmp_path)))]
    assert "parameters" not in as_markdown(study(), rows)
    rows[0] = rows[0]._replace(parameters=12_345)
    assert "| parameters |" in as_markdown(study(), rows).splitlines()[0]
    assert "| 12,345 |" in as_markdown(study(), rows)


def test_further_words_are_those_of_all_cells_and_kept(command_line, tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text(STUDY)
    called = run_with(monkeypatch, [DIVERGED] * 8)
    command_line("study", "a.yaml", "--trainer.max_epochs", "50", "--folder", "found")
    assert len(called) == 8
    assert called[0][3:7] == ["--trainer.max_epochs", "50", "--data.pattern.lines", "4"]
    command_line("study", "a.yaml", "--trainer.max_epochs", "50", "--folder", "found")
    assert len(called) == 8  # all are done


def test_what_another_study_has_left_is_not_taken_for_this_one(refused, command_line, tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text(STUDY)
    run_with(monkeypatch, [DIVERGED] * 8)
    command_line("study", "a.yaml", "--folder", "found")
    told = refused("study", "a.yaml", "--folder", "found", "--trainer.max_epochs", "50")
    assert told.startswith("found/exact, few, seed 3 was run with other words")


def record(folder, cell, distances, run="version_0"):
    """Write the distances of gradients that a training would record."""
    file = folder / cell.label / "runs" / run / "gradient_distance.csv"
    file.parent.mkdir(parents=True)
    file.write_text("step,distance\n" + "".join(f"{20 * n},{value}\n" for n, value in enumerate(distances)))


def test_table_has_the_distance_from_the_exact_gradient(study, tmp_path):
    by_label = {cell.label: cell for cell in study().cells()}
    record(tmp_path, by_label["exact, few, seed 3"], [0, 0])
    record(tmp_path, by_label["inv, few, seed 3"], [0.3])
    record(tmp_path, by_label["inv, few, seed 3"], [0.3, 0.1], run="version_1")  # which went on with the first
    record(tmp_path, by_label["inv, few, seed 5"], [0.2])
    record(tmp_path, by_label["inv, many, seed 3"], [1e-7, "nan", "nan"])
    rows = rows_of(study(), list(outcomes(study(), tmp_path)))
    assert [row.gradient_distance for row in rows[:3]] == [(0, 0), (0.2, 0.3), None]
    assert all(math.isnan(value) for value in rows[3].gradient_distance)
    header, _, *lines = as_markdown(study(), rows).splitlines()
    place = header.split(" | ").index("distance from the exact gradient, median (largest)")
    assert [line.split(" | ")[place] for line in lines] == ["0 (0)", "0.2 (0.3)", "-", "nan (nan)"]
    names = as_csv(rows).splitlines()[0].split(",")
    assert names[-4:] == ["gradient_distance_median", "gradient_distance_largest", "parameters", "seconds"]
    assert len(set(names)) == len(names)


def test_a_table_of_something_else_is_named(study, tmp_path):
    cell = next(iter(study().cells()))
    record(tmp_path, cell, ["far"])
    with pytest.raises(DataError, match=r"gradient_distance\.csv was not written by GradientDistance"):
        list(outcomes(study(), tmp_path))


def run_with(monkeypatch, codes):
    """Let processes end with these exit codes; returns their words."""
    called = []

    def ended(words, **_):
        called.append(words[3:])
        return subprocess.CompletedProcess(words, codes[len(called) - 1])

    monkeypatch.setattr(running.subprocess, "run", ended)
    return called


def test_a_training_that_diverges_is_counted_and_not_run_again(study, tmp_path, monkeypatch):
    called = run_with(monkeypatch, [DIVERGED])
    cell = next(iter(study().cells()))
    for _ in range(2):
        running.run_cell(tmp_path, cell, "group")
    assert [words[0] for words in called] == ["fit"]
    assert next(iter(outcomes(study(), tmp_path))).diverged == (3,)


def test_a_failure_stops_the_study_and_is_told(study, tmp_path, monkeypatch):
    called = run_with(monkeypatch, [2])
    with pytest.raises(ValueError, match=r"exact, few, seed 3 ended with exit code 2; see .*log.txt"):
        running.run_cell(tmp_path, next(iter(study().cells())), "group")
    assert called[0][-4:] == ["--seed_everything", "3", "--data.seed", "3"]


def test_a_stopped_training_goes_on(study, tmp_path, monkeypatch):
    called = run_with(monkeypatch, [0, 0])
    cell = next(iter(study().cells()))
    checkpoint = tmp_path / cell.label / "runs" / "version_0" / "checkpoints" / "last.ckpt"
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    running.run_cell(tmp_path, cell, "group")
    assert [words[0] for words in called] == ["fit", "test"]
    assert called[0][-2:] == ["--ckpt_path", "last"]
    assert "--seed_everything" not in called[1]  # every seed is tested on the same samples


@pytest.mark.parametrize("part", ["0/2", "3/2", "half"])
def test_bad_parts_are_refused(command_line, tmp_path, part, capsys):
    (tmp_path / "a.yaml").write_text(STUDY)
    with pytest.raises(SystemExit):
        command_line("study", "a.yaml", "--part", part)
    assert "expected K/N" in capsys.readouterr().err


def tiny_study(folder):
    common = [*TINY_DYNAMIC, "--report.untrained", "[ZeroFilled]", "--trainer.limit_test_batches", "2"]
    words = " ".join(["--config dynamic_mri/locally_low_rank_net.yaml", *common])
    methods = "{blocks: '', none: --model.shrinkage false}"
    (folder / "tiny.yaml").write_text(f"common: {words}\nmethods: {methods}\nseeds: [4]\nreference: none\n")


def start_study(folder, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "lowrank_unroll", "study", "tiny.yaml", *words],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.slow(seconds=100)
def test_a_killed_study_ends_in_the_same_table(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for folder in (whole, killed):
        folder.mkdir()
        tiny_study(folder)
    for part in ("1/2", "2/2"):
        output, _ = start_study(whole, "--part", part).communicate()
        assert "Table and figures" in output
    moments = random.Random(0)
    for _ in range(5):
        process = start_study(killed)
        time.sleep(moments.uniform(2, 12))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    start_study(killed).communicate()
    of_whole, of_killed = ((folder / "runs/studies/tiny/results.csv").read_text() for folder in (whole, killed))
    rows, again = ([line.rsplit(",", 1)[0] for line in text.splitlines()] for text in (of_whole, of_killed))
    assert rows == again  # but for the seconds
    assert len(rows) == 4


@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_studies_of_the_documentation_can_be_read(file):
    assert len(list(read_study(file).cells())) >= 6


@pytest.mark.slow(seconds=60)
@pytest.mark.parametrize("file", STUDIES, ids=lambda file: file.stem)
def test_every_method_and_condition_of_them_is_understood(file, command_line, capsys):
    of_seed = [cell for cell in read_study(file).cells() if cell.seed == 0]
    cells = {*{cell.method: cell for cell in of_seed}.values(), *{cell.condition: cell for cell in of_seed}.values()}
    for words in {words for cell in cells for words in (("fit", *cell.words), ("test", *cell.words))}:
        with pytest.raises(SystemExit) as stop:
            command_line(*words, "--print_config")
        assert stop.value.code == 0, capsys.readouterr().err
