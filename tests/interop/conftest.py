"""The adapters as fixtures: a test that asks for those of a library that is not installed is skipped."""

from importlib import import_module

import pytest
from support.libraries import import_or_skip


def adapters(name):
    """The adapters of a library."""
    import_or_skip(name)
    return import_module(f"lowrank_unroll.interop.{name}")


@pytest.fixture(scope="session")
def dinv():
    return import_or_skip("deepinv")


@pytest.fixture(scope="session")
def ours():
    return adapters("deepinv")


@pytest.fixture(scope="session")
def for_mrpro():
    return adapters("mrpro")


@pytest.fixture(scope="session")
def for_bartorch():
    return adapters("bartorch")
