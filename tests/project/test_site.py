"""The build of the documentation tells which public names it lacks, and finds the others by their short names."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
CONFIGURATION = 'extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "api_pages"]\n'


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Build a site of one page that documents these rooms; what Sphinx warns of, and the page."""
    application = pytest.importorskip("sphinx.application")
    # What Sphinx asks of docutils is deprecated by docutils.
    pytest.importorskip("docutils")
    monkeypatch.syspath_prepend(CHECKOUT / "docs")

    def run(*rooms, settings=""):
        source = tmp_path / "source"
        source.mkdir()
        (source / "conf.py").write_text(CONFIGURATION + settings)
        directives = [f".. automodule:: lowrank_unroll.{room}\n   :members:\n" for room in rooms]
        (source / "index.rst").write_text("Rooms\n=====\n\n" + "\n".join(directives))
        with (tmp_path / "warnings.txt").open("w") as warnings:
            site = application.Sphinx(
                *(source, source, tmp_path / "site", tmp_path / "doctrees", "html"), status=None, warning=warnings
            )
            site.build()
        return (tmp_path / "warnings.txt").read_text(), (tmp_path / "site" / "index.html").read_text()

    yield run
    sys.modules.pop("api_pages", None)


@pytest.mark.slow(seconds=10)
@pytest.mark.filterwarnings("ignore")  # of Sphinx's own
def test_a_public_name_without_a_page_is_a_warning(build):
    warnings, _ = build("prox")
    assert "lowrank_unroll.linalg.svd is public, but has no docstring or no page in docs/api" in warnings
    assert "lowrank_unroll.prox.ShrinkageGradient is public" in warnings  # it has no docstring
    assert "lowrank_unroll.prox.LowRankProx is public" not in warnings


@pytest.mark.slow(seconds=10)
@pytest.mark.filterwarnings("ignore")
def test_a_short_name_leads_to_the_page_of_another_room(build):
    _, page = build("errors", "prox", settings="nitpicky = True\n")
    assert 'href="#lowrank_unroll.errors.UsageError"' in page.partition("remove_shrinkage")[2]


def test_a_badge_opens_the_notebook_of_a_tutorial(monkeypatch):
    pytest.importorskip("sphinx.application")
    monkeypatch.syspath_prepend(CHECKOUT / "docs")
    colab = import_module("colab")
    page, others = [".. _a:\n\nA tutorial\n==========\n\nText\n"], [["List\n====\n"], ["A\n=\n"], ["B\n=\n"]]
    colab.add_badges(None, "_tutorials/9_a", others[1])
    monkeypatch.setenv("GITHUB_REPOSITORY", "someone/lowrank_unroll")
    colab.add_badges(None, "_tutorials/9_a", page)
    colab.add_badges(None, "_tutorials/index", others[0])
    colab.add_badges(None, "faq", others[2])
    title, _, rest = page[0].partition(".. image::")
    assert title.endswith("A tutorial\n==========\n\n")
    assert "colab.research.google.com/github/someone/lowrank_unroll/blob/notebooks/9_a.ipynb" in rest
    assert rest.endswith("\n\nText\n")
    assert others == [["List\n====\n"], ["A\n=\n"], ["B\n=\n"]]
