"""Public names that have moved: found under the old name for one release, with a warning."""

import warnings
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def moved_names(old: str, new: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module whose names have moved.

    The new module is imported when it is asked for, since it may be above the old one.

    Args:
        old: the module.
        new: the module of each name that has moved.
    """

    def find(name: str) -> Any:
        if name not in new:
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        warnings.warn(f"{old}.{name} is now {new[name]}.{name}", DeprecationWarning, stacklevel=2)
        return getattr(import_module(new[name]), name)

    return find
