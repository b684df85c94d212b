"""Examples in docstrings are run, with `torch` and the names of their module and room at hand."""

import doctest
from importlib import import_module
from pathlib import Path

import pytest
import torch
from support.libraries import import_or_skip

PACKAGE = Path(__file__).parents[2] / "lowrank_unroll"
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FILES = sorted(file.relative_to(PACKAGE.parent) for file in PACKAGE.rglob("*.py") if ">>> " in file.read_text())


@pytest.mark.parametrize("file", FILES, ids=str)
def test_examples_of_docstrings(file):
    *room, _ = file.parts
    if room[-2:-1] == ["interop"]:
        import_or_skip(room[-1])
    module = import_module(".".join(file.with_suffix("").parts).removesuffix(".__init__"))
    at_hand = vars(import_module(".".join(room))) | vars(module) | {"torch": torch}
    lines = []
    for example in doctest.DocTestFinder().find(module, globs=at_hand):
        doctest.DocTestRunner(optionflags=OPTIONS).run(example, out=lines.append)
    assert not lines, "".join(lines)
