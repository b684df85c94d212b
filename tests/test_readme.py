"""What the README points to is there."""

import re
from pathlib import Path

import pytest

from lowrank_unroll.command_line.configs import config_names

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text()
LINKS = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]


@pytest.mark.parametrize("link", LINKS)
def test_links_lead_somewhere(link):
    assert (CHECKOUT / link).exists()


def test_named_configs_are_in_the_collection():
    named = set(re.findall(r"--config ([a-z_]+/[a-z0-9_]+\.yaml)", README))
    assert named
    assert named <= set(config_names())


def test_every_config_is_named():
    assert all(f"`{name}`" in README or f"--config {name}" in README for name in config_names())


def test_python_examples_run(capsys):
    (example,) = (block for block in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if "import torch" in block)
    exec(compile(example, "README.md", "exec"), {})
    assert capsys.readouterr().out == "tensor([1.8000, 1.8000, 1.8000, 1.8000])\ntensor([nan, nan, nan, nan])\n"


def test_the_example_of_a_shrinkage_runs():
    page = (CHECKOUT / "docs" / "gradients.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names = {}
    exec(compile(example, "gradients.md", "exec"), names)
    assert names["Y"].shape == (8, 32, 32)
