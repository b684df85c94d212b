"""Optional dependencies, which the extras of the package install."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def import_extra(module: str, extra: str, purpose: str) -> Any:
    """Import an optional module.

    Args:
        module: dotted name.
        extra: of this package, which installs it.
        purpose: what needs the module, such as "writing raw files".

    Raises:
        ModuleNotFoundError: if it is not installed; names the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(_missing(module.partition(".")[0], extra, purpose)) from error


def extra_folder(module: str, extra: str, purpose: str) -> Path:
    """Return the folder of an optional package, for the files in it; nothing of it is imported.

    Args:
        module: its name.
        extra: of this package, which installs it.
        purpose: what needs it.

    Raises:
        ModuleNotFoundError: if it is not installed; names the command that installs it.
    """
    found = find_spec(module)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(_missing(module, extra, purpose))
    return Path(found.origin).parent


def _missing(package: str, extra: str, purpose: str) -> str:
    return f'{purpose} needs {package}: pip install "lowrank-unroll[{extra}]"'
