"""Names may hold anything: they are shown as they are, kept as they are, and never executed nor in each other's way."""

import csv
import io
import warnings

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markupsafe import escape
from matplotlib.figure import Figure
from PIL import Image
from rich.console import Console

from lowrank_unroll.names import drawable, markdown_cell, one_line, path_of_name, spreadsheet_cell, unique_names
from lowrank_unroll.pictures import Panel, draw_panels
from lowrank_unroll.reports import Evaluation, Page, SampleResult, comparison_table, methods, read_evaluation
from lowrank_unroll.reports.tables import evaluation_table
from lowrank_unroll.writers.places import unused_path

HOSTILE = [
    "$",
    "a$b$c",
    r"$\frac{a$",
    r"\$\\$_^%{}{",
    "_hidden",
    "[bold]x[/bold]",
    "[/]",
    "ends in \\",
    ":heart:",
    "<script>alert(1)</script> & {{ 7 * 7 }}",
    "two\nlines\r\tand more",
    "a\0b\x1b[31mred",
    "\N{GRINNING FACE} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER} \u5fc3\u810f \u0642\u0644\u0628 e\u0301",
    "evil\u202egnp.exe",
    "undecodable \udcff \ud800",
    "=cmd|' /C calc'!A0",
    "x" * 3000,
    "$" * 999,
    "",
    " ",
]
NAMES = st.sampled_from(HOSTILE) | st.text(st.characters()) | st.text(st.sampled_from("$\\_^%{}[]/:=<&'\"\n\0a"))
FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n")


def evaluation(*names, run="runs/a"):
    values = {"psnr": 30.0, "$own_[metric]": 1.0}
    samples = [SampleResult(name, "synthetic", "00ff", 5.0, values, values) for name in names]
    return Evaluation(run, "TLRNet", 10, 1, None, f"lowrank-unroll test {run}", {"torch": "2"}, samples)


def printed(shown):
    file = io.StringIO()
    Console(file=file, width=20000).print(shown)
    return file.getvalue()


@given(NAMES)
@settings(max_examples=200)
def test_matplotlib_is_asked_for_the_characters_of_a_name_and_no_formula(name):
    text = Figure().text(0, 0, drawable(name, longest=20000))
    plain, is_formula = text._preprocess_math(text.get_text())
    assert not is_formula
    assert plain.isprintable()
    if name.isascii() and name.isprintable():
        assert plain == name
    shortened = drawable(name).replace(r"\$", "$")
    assert shortened == plain or (len(shortened) <= 31 and shortened[:13] + shortened[-13:] == plain[:13] + plain[-13:])


@pytest.mark.slow
@given(NAMES)
@settings(max_examples=10)
@example("".join(HOSTILE))
@example(r"$\frac{a$")
def test_a_panel_of_any_name_is_drawn(name):
    image = torch.rand(3, 8, 8)
    with warnings.catch_warnings(action="error"):
        encoded = draw_panels([Panel(name, image, image, image, None, None, 30.0)])
    assert Image.open(io.BytesIO(encoded)).size == (1800, 502)


@pytest.mark.slow
@given(NAMES, NAMES)
@settings(max_examples=10)
@example("$\\frac{a$", "=[/]\udcff")
def test_a_report_of_any_names_is_whole(tmp_path_factory, name, run):
    folder = tmp_path_factory.mktemp("report")
    one, other = evaluation(name, "b", run=run), evaluation(name, "b", run=name)
    one.write(folder)
    assert read_evaluation(folder) == one
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert spreadsheet_cell(name.encode(errors="backslashreplace").decode()) in cells
    assert not any(cell.startswith(FORMULAS) for cell in cells)
    compared = methods([one, other])
    Page(one, compared, figures={name: Figure()}, config=f"x: {name}\n", warnings=[run]).write(folder / "report.html")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f">{escape(one_line(name))}</td>" in page
    assert "<script>alert" not in page
    assert page.replace("\n", "").isprintable()
    for words in (one_line(f"TLRNet ({run})"), "$own_[metric]"):
        assert words in printed(comparison_table([one, other]))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_printed_as_they_are(name):
    assert one_line(name) in printed(evaluation_table(evaluation(name)))


@given(NAMES)
def test_no_cell_is_a_formula(name):
    assert not spreadsheet_cell(name).startswith(FORMULAS)
    assert spreadsheet_cell(name) in {name, f"'{name}"}


@given(NAMES)
@example("_a_ a_b _")
@example("a\\|b")
def test_markdown_shows_a_name_in_its_cell_as_it_is(name):
    table = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(f"| {markdown_cell(name)} |\n| - |\n")
    (cell,) = (token for token in table if token.type == "inline")
    assert {part.type for part in cell.children} <= {"text", "text_special"}
    assert "".join(part.content for part in cell.children).strip() == one_line(name).strip()


@given(st.lists(st.sampled_from(["a", "a, no. 2", "a, no. 3", "b"]), max_size=8))
def test_names_are_told_apart(names):
    apart = unique_names(names)
    assert len(set(apart)) == len(names)
    assert all(found.startswith(name) for found, name in zip(apart, names, strict=True))


@given(st.lists(NAMES | st.text(st.sampled_from("./\\aA :\0")), min_size=1, max_size=6))
@example(["a", "a.png/b", "a.png/b", "A", "..", "../a", "x" * 250 + "1", "x" * 250 + "2", "\u5fc3" * 200])
@example(["a.png/b", "a", "a/b", "a_2", "a"])
def test_no_prediction_overwrites_another_or_leaves_the_folder(tmp_path_factory, names):
    folder = tmp_path_factory.mktemp("run") / "predictions"
    written = []
    for name in names:
        place = path_of_name(name)
        assert not place.is_absolute()
        assert ".." not in place.parts
        found = unused_path(folder, place, ["png"])
        path = found.with_name(f"{found.name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
        written.append(path)
    assert all(path.resolve().is_relative_to(folder.resolve()) for path in written)
    assert sorted(written) == sorted(path for path in folder.parent.rglob("*") if path.is_file())
