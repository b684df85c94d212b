"""Libraries that the adapters of `lowrank_unroll.interop` are for, which not every environment of the tests has.

Importing this file makes torchvision importable beside any PyTorch. Where it is installed, that has to happen before
Lightning is imported, whose metrics import it, too: `pytest -p support.libraries`, with `tests` in `PYTHONPATH`.
"""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

DECLARED = []


def import_or_skip(name):
    """Import a library, or skip the test."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed")
    return import_module(name)


def adapters_or_skip(name):
    """Import the adapters of a library, or skip the test."""
    import_or_skip(name)
    return import_module(f"lowrank_unroll.interop.{name}")


def declare_torchvision_operators():
    """Declare the operators of torchvision's compiled part, if that does not fit this build of PyTorch.

    The package index has it for CUDA, and the Python part cannot be imported beside PyTorch for the CPU without these
    names. Of the operators themselves the libraries use none.
    """
    torchvision = find_spec("torchvision")
    if torchvision is None:
        return
    folder = Path(torchvision.origin).parent
    try:
        torch.ops.load_library(next(folder.glob("_C*")))
    except OSError:
        source = (folder / "_meta_registrations.py").read_text()
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in dict.fromkeys(re.findall(r'register_(?:meta|fake)\("(?:torchvision::)?(\w+)"', source)):
            library.define(f"{operator}(Tensor images) -> Tensor")
        DECLARED.append(library)  # the operators live as long as it


declare_torchvision_operators()
