"""Public names that have moved or changed: found under the old name for one release, with a warning."""

import warnings
from collections.abc import Callable, Mapping
from functools import wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def moved_names(old: str, new: Mapping[str, str], stacklevel: int = 2) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a module whose names have moved.

    The new module is imported when it is asked for, since it may be above the old one.

    Args:
        old: the module.
        new: where each old name is now: the module that has it under the same name, or ``"module:new_name"``.
        stacklevel: of the warning; 3 if the module has a ``__getattr__`` of its own that calls this one.
    """

    def find(name: str) -> Any:
        if name not in new:
            raise AttributeError(f"module {old!r} has no attribute {name!r}")
        module, _, renamed = new[name].partition(":")
        current = renamed or name
        warnings.warn(f"{old}.{name} is now {module}.{current}", DeprecationWarning, stacklevel=stacklevel)
        return getattr(import_module(module), current)

    return find


def renamed_arguments(**new: str) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Return a decorator for a function whose arguments have new names: the old ones work as keywords, with a warning.

    Args:
        new: the new name of each old one.
    """

    def decorate(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @wraps(function)
        def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
            for old, name in new.items():
                if old in kwargs:
                    message = f"the argument {old} of {function.__qualname__} is now {name}"
                    warnings.warn(message, DeprecationWarning, stacklevel=2)
                    kwargs[name] = kwargs.pop(old)
            return function(*args, **kwargs)

        return call

    return decorate
